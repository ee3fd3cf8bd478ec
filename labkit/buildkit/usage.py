"""The cache of builds besides images: contexts, and the folders of `RUN --mount=type=cache`."""

from collections.abc import Iterator

from labkit.build.workroom import CACHE_MOUNTS, KeptCache
from labkit.buildkit.kept import Kept, KeptContext
from labkit.buildkit.messages import Timestamp, UsageRecord
from labkit.paths import Paths


class Usage:
    """Lists it, and removes it."""

    def __init__(self, paths: Paths, kept: Kept) -> None:
        self._paths = paths
        self._kept = kept

    def records(self) -> list[UsageRecord]:
        """Return all cached objects."""
        mounts = [_mount(cache) for cache in CACHE_MOUNTS.all(self._paths)]
        return [*mounts, *map(_context, self._kept.all())]

    def prune(self, *, everything: bool) -> Iterator[UsageRecord]:
        """Remove unused objects, and yield each removed one."""
        yield from map(_context, self._kept.prune())
        yield from map(_mount, CACHE_MOUNTS.prune(self._paths))


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
