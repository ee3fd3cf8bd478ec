"""Answers from the table: addresses of names, and names of addresses.

If several containers share an alias, each answer begins with the next one of them.
"""

import collections
from collections.abc import Sequence

from labkit.networks.names import queries
from labkit.networks.names.queries import Query
from labkit.networks.names.table import Table


class Answers:
    """The answers to the queries of one container."""

    def __init__(self, container_id: str) -> None:
        self._container_id = container_id
        self._table: Table | None = None
        self._turns: collections.Counter[tuple[str, str]] = collections.Counter()
        """The number of questions for each name; cleared when the table changes."""

    def to(self, query: Query, table: Table) -> bytes | None:
        """The answer; None if another server must be asked."""
        if not query.is_internet:
            return None
        if query.address:
            name = table.name_of(self._container_id, query.address)
            return queries.pointer(query, name) if name else None
        found = table.find(self._container_id, query.name)
        if found is None:
            return None
        turn = self._turn(query, table)
        return queries.addresses(query, _rotated(found.ipv4, turn), _rotated(found.ipv6, turn))

    def _turn(self, query: Query, table: Table) -> int:
        if table is not self._table:
            self._table = table
            self._turns.clear()
        key = (query.name, query.kind)
        self._turns[key] += 1
        return self._turns[key] - 1


def _rotated(addresses: Sequence[str], turn: int) -> list[str]:
    first = turn % len(addresses) if addresses else 0
    return [*addresses[first:], *addresses[:first]]
