"""Every chain for forwarded packets, and labkit's way through it."""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from labkit.errors import LabkitError
from labkit.kernel import files
from labkit.kernel.network import nft_chains
from labkit.networks.firewall import OWN_CHAIN
from labkit.networks.passage import chains, firewalld, iptables, nftables
from labkit.networks.passage.ways import Ways

OWN_ENDING = "-forward"
"""labkit's chain in other programs' tables is named by the prefix of its links, and this."""
_VERSIONS = {"ip": 4, "ip6": 6}

Base = iptables.Table | nftables.Table


class Obstacle(NamedTuple):
    """A chain that drops packets of containers, unless labkit has a way through."""

    where: str
    versions: tuple[int, ...]
    """The versions of IP whose packets it sees."""
    has_way: bool


class Passage:
    """The ways of one engine through other programs' firewalls.  Not thread-safe."""

    def __init__(self, prefix: str, run: str) -> None:
        """`prefix` names its chains (`labkit.ownership.link_prefix`)."""
        self._own = f"{prefix}{OWN_ENDING}"
        self._trusted_file = f"{run}/trusted-by-firewalld"

    def ensure(self, ways: Ways) -> list[str]:
        """Let exactly these packets through; returns a message for each failure.  OSError.

        Without ways, every trace of earlier ones is removed.
        """
        failed = []
        for base in places():
            try:
                self._ensure_at(base, ways)
            except LabkitError as error:
                failed.append(f"{base} may drop packets of containers: {error}")
        if not ways.bridges and not failed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._trusted_file)
        return failed

    def _ensure_at(self, base: Base, ways: Ways) -> None:
        if isinstance(base, nftables.Table) and base.table == firewalld.TABLE:
            self._ensure_trust(base, ways)
            return
        wanted = [way for version in base.versions for way in ways.of(version)]
        matches = list(dict.fromkeys(wanted))
        now = base.read()
        if change := base.let_through(now, self._own, matches):
            base.apply(change)

    def _ensure_trust(self, base: nftables.Table, ways: Ways) -> None:
        trusted = self._read_trusted()
        missing = firewalld.missing(base.family, ways.bridges)
        gone = [bridge for bridge in trusted if bridge not in ways.bridges]
        # The note names every link that may be in the zone, whenever labkitd is killed.
        noted = list(dict.fromkeys([*trusted, *missing]))
        if noted != trusted:
            self._note_trusted(noted)
        if missing:
            firewalld.trust(missing)
        if gone:
            firewalld.forget(gone)
            self._note_trusted([bridge for bridge in noted if bridge not in gone])

    def _note_trusted(self, bridges: list[str]) -> None:
        files.write_atomically(self._trusted_file, "\n".join(bridges).encode())

    def _read_trusted(self) -> list[str]:
        try:
            with open(self._trusted_file, encoding="utf-8") as file:
                return file.read().split()
        except FileNotFoundError:
            return []


def places() -> Iterator[Base]:
    """Every chain of other programs that forwarded packets pass; OSError."""
    for family, table, name in nft_chains.filtering(nft_chains.FORWARD):
        if name == OWN_CHAIN:
            continue
        if name == iptables.BASE and table in iptables.TABLES and family in _VERSIONS:
            found = iptables.Table(_VERSIONS[family], "nft", table)
            if found.is_readable():
                yield found
                continue
        yield nftables.Table(family, table, name)
    for version in _VERSIONS.values():
        yield from iptables.legacy_tables(version)


def obstacles() -> list[Obstacle]:
    """The chains of other programs that drop packets, and whether labkit has a way through.

    OSError, LabkitError if one cannot be read.
    """
    found = []
    for base in places():
        others = now = base.read()
        for target in {rule.target for chain in now.values() for rule in chain.rules}:
            if target.endswith(OWN_ENDING):
                others = chains.without(others, target)
        if chains.is_blocking(others, base.name):
            has_way = others is not now or firewalld.is_trusting(base.table, now)
            found.append(Obstacle(str(base), base.versions, has_way))
    return found
