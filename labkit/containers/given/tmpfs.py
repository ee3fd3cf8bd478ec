"""The options of `--tmpfs /path:OPTIONS`: flags of mount(2), and options of tmpfs itself."""

from labkit.containers.records.mount_model import PROPAGATIONS
from labkit.errors import InvalidParameterError
from labkit.kernel.mounts import (
    MS_NOATIME,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_RELATIME,
    MS_STRICTATIME,
)

DEFAULT_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC
"""Docker sets these flags on a tmpfs unless an option clears them."""

MOUNT_FLAGS: dict[str, tuple[int, int]] = {
    "ro": (MS_RDONLY, 0),
    "rw": (0, MS_RDONLY),
    "nosuid": (MS_NOSUID, 0),
    "suid": (0, MS_NOSUID),
    "nodev": (MS_NODEV, 0),
    "dev": (0, MS_NODEV),
    "noexec": (MS_NOEXEC, 0),
    "exec": (0, MS_NOEXEC),
    "noatime": (MS_NOATIME, 0),
    "relatime": (MS_RELATIME, 0),
    "strictatime": (MS_STRICTATIME, 0),
    "defaults": (0, 0),
}
"""Each word with the flags that it sets and those that it clears (mount(8))."""

_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
"""The words with a value that tmpfs accepts (tmpfs(5))."""


def tmpfs_flags_and_data(options: str) -> tuple[int, str]:
    """The flags for mount(2) and the data for tmpfs; InvalidParameterError for an unknown word.

    The propagation words of `mount_model.PROPAGATIONS` are skipped: they are no flags here.
    """
    flags, values = DEFAULT_FLAGS, []
    for word in filter(None, options.split(",")):
        name, equals, value = word.partition("=")
        if word in PROPAGATIONS:
            continue
        if word in MOUNT_FLAGS:
            sets, clears = MOUNT_FLAGS[word]
            flags = flags & ~clears | sets
        elif name in _VALUES and equals and value:
            values.append(word)
        else:
            raise InvalidParameterError(f'invalid tmpfs option ["{word}"]')
    return flags, ",".join(values)
