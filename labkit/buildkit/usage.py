"""The cache of builds besides images: contexts, and the folders of `RUN --mount=type=cache`."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from labkit.build.workroom import CACHE_MOUNTS, KeptCache
from labkit.buildkit.kept import Kept, KeptContext
from labkit.buildkit.messages import Timestamp, UsageRecord
from labkit.errors import InvalidParameterError
from labkit.paths import Paths


class Usage:
    """Lists it, and removes it."""

    def __init__(self, paths: Paths, kept: Kept) -> None:
        self._paths = paths
        self._kept = kept

    def records(self, filters: Sequence[str] = ()) -> list[UsageRecord]:
        """Return the cached objects that pass.  InvalidParameterError for an unknown filter."""
        passes = _conditions(filters)
        mounts = [_mount(cache) for cache in CACHE_MOUNTS.all(self._paths)]
        return [one for one in [*mounts, *map(_context, self._kept.all())] if passes(one)]

    def prune(self, filters: Sequence[str], unused_s: float) -> Iterator[UsageRecord]:
        """Remove objects that pass and were not used for so long; yield each removed one."""
        passes, newest_s = _conditions(filters), time.time() - unused_s

        def is_old(record: UsageRecord) -> bool:
            used = record.last_used_at
            return not unused_s or (used is not None and used.seconds <= newest_s)

        def chosen(record: UsageRecord) -> bool:
            return passes(record) and is_old(record)

        yield from map(_context, self._kept.prune(lambda each: chosen(_context(each))))
        mounts = CACHE_MOUNTS.prune(self._paths, lambda each: chosen(_mount(each)))
        yield from map(_mount, mounts)


def _conditions(filters: Sequence[str]) -> Callable[[UsageRecord], bool]:
    """Return a test for any of the filters; each has conditions, joined by commas.

    A condition is `key`, `key==value`, `key!=value` or `key~=expression`, as in containerd.
    """
    wanted = [[_condition(part) for part in text.split(",")] for text in filters if text]
    return lambda record: (
        not wanted or any(all(condition(record) for condition in each) for each in wanted)
    )


def _condition(text: str) -> Callable[[UsageRecord], bool]:
    found = _CONDITION.fullmatch(text.strip())
    facts = None if found is None else _FACTS.get(found[1].lower())
    if found is None or facts is None:
        raise InvalidParameterError(f"filter {text!r}: known are {', '.join(_FACTS)}")
    sign, value = found[2], (found[3] or "").strip('"')
    if sign is None:
        return lambda record: facts(record) not in ("", "false")
    if sign == "~=":
        return lambda record: value in facts(record)
    return lambda record: (facts(record) == value) == (sign == "==")


_CONDITION = re.compile(r"([A-Za-z]+)(?:(==|!=|~=)(.*))?", re.DOTALL)
_FACTS: Mapping[str, Callable[[UsageRecord], str]] = {
    "id": lambda record: record.id,
    "type": lambda record: record.record_type,
    "description": lambda record: record.description,
    "inuse": lambda record: str(record.in_use).lower(),
    "mutable": lambda record: str(record.mutable).lower(),
    "immutable": lambda record: str(not record.mutable).lower(),
    "shared": lambda record: str(record.shared).lower(),
    "private": lambda record: str(not record.shared).lower(),
}
"""The facts that a filter may name."""


def _mount(cache: KeptCache) -> UsageRecord:
    return UsageRecord(
        id=cache.name,
        mutable=True,
        in_use=cache.is_in_use,
        size=cache.size_bytes,
        created_at=_moment(cache.changed_s),
        last_used_at=_moment(cache.changed_s),
        description="cached mount of a RUN",
        record_type="exec.cachemount",
    )


def _context(context: KeptContext) -> UsageRecord:
    return UsageRecord(
        id=context.name,
        mutable=True,
        in_use=context.is_in_use,
        size=context.size_bytes,
        created_at=_moment(context.created_s),
        last_used_at=_moment(context.used_s),
        usage_count=context.uses,
        description=context.name,
        record_type="source.local",
    )


def _moment(seconds: float) -> Timestamp:
    return Timestamp(int(seconds), int(seconds % 1 * 1e9))
