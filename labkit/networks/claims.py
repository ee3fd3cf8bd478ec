"""Claims: two daemons that choose subnets at the same moment never choose the same addresses.

The kernel shows which subnets are in use (`labkit.networks.subnets`), but a subnet gets its route
only some time after it was chosen.  Until then the daemon holds a lock on it: a lock on a range of
bytes of one file, as long as the range of addresses (fcntl(2), open file description locks).  So
overlapping subnets of different lengths exclude each other too.  The kernel releases the locks of
a killed daemon.  Only root can read the file, and the last daemon removes it.
"""

import contextlib
import errno
import fcntl
import os
from struct import pack

from labkit.kernel import power
from labkit.networks.addresses import Subnet, parse_subnet
from labkit.paths import DEFAULT_RUN

_FLOCK = "hhqqixxxx"  # struct flock: kind, whence, start, length, pid
_IN_USE = (2**63 - 2, 1)
"""A byte for no address: every daemon has a read lock on it."""
_TAKEN = (errno.EAGAIN, errno.EACCES)


def file_path(run: str = DEFAULT_RUN) -> str:
    """The path of the file that all daemons of this network namespace share.

    An engine without root has its own network namespace, and its own run folder.
    """
    if power.IS_LIMITED:
        return f"{run}/subnets"
    number = os.stat("/proc/self/ns/net").st_ino
    return os.path.join(os.path.dirname(DEFAULT_RUN), f"labkit-subnets.{number}")


class Claims:
    """The subnets that this daemon has claimed.  Not thread-safe."""

    def __init__(self, run: str = DEFAULT_RUN) -> None:
        self._path = file_path(run)
        self._held: set[str] = set()
        self._fd = -1

    def claim(self, subnet: str) -> bool:
        """Lock a subnet; False if another daemon has it, or a part of it."""
        if subnet in self._held:
            return True
        if self._fd < 0:
            self._fd = _opened(self._path)
        if not _lock(self._fd, fcntl.F_WRLCK, *_range(parse_subnet(subnet))):
            return False
        self._held.add(subnet)
        return True

    def release(self, subnet: str) -> None:
        """Unlock a subnet."""
        if subnet in self._held:
            self._held.discard(subnet)
            _lock(self._fd, fcntl.F_UNLCK, *_range(parse_subnet(subnet)))

    def close(self) -> None:
        """Release all claims, and remove the file if no other daemon uses it."""
        if self._fd < 0:
            return
        self._held.clear()
        _lock(self._fd, fcntl.F_UNLCK, 0, 0)
        if _lock(self._fd, fcntl.F_WRLCK, 0, 0):  # length 0: to the end of the file
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        os.close(self._fd)
        self._fd = -1


def _opened(path: str) -> int:
    """Open the file, but not one that another daemon is just removing."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # While one byte is locked, no other daemon can lock all of them.
        if _lock(fd, fcntl.F_RDLCK, *_IN_USE):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(fd).st_ino:
                    return fd
        os.close(fd)


def _range(subnet: Subnet) -> tuple[int, int]:
    """The bytes for a subnet: IPv4's numbers, and above them the networks of IPv6."""
    if subnet.version == 4:
        return int(subnet.network_address), subnet.num_addresses
    first, count = int(subnet.network_address) >> 66, max(subnet.num_addresses >> 66, 1)
    return 2**33 + first, count


def _lock(fd: int, kind: int, start: int, length: int) -> bool:
    """Lock or unlock a range of bytes (length 0: all from `start`); False if another has it."""
    asked = pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, asked)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
