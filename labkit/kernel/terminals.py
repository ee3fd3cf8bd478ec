"""Pseudo-terminals: pts(4), and the requests of ioctl_tty(2) that they need."""

import errno
import fcntl
import os
from struct import pack

MULTIPLEXER = (5, 2)
"""The device numbers of ptmx(4)."""
TIOCSCTTY = 0x540E
TIOCSWINSZ = 0x5414
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441


def open_pair(ptmx: str) -> tuple[int, int]:
    """Open a new terminal by the multiplexer at `ptmx`; return its master and its slave side.

    The slave is opened through the master (TIOCGPTPEER, Linux 4.13), not by a name, which could
    belong to another.  OSError (ENOTTY) if `ptmx` is another file.
    """
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if os.fstat(master).st_rdev != os.makedev(*MULTIPLEXER):
        os.close(master)
        raise OSError(errno.ENOTTY, "it is not the multiplexer of terminals", ptmx)
    fcntl.ioctl(master, TIOCSPTLCK, pack("i", 0))
    return master, fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(terminal: int, height: int, width: int) -> None:
    """Set the size in characters; the foreground processes get SIGWINCH."""
    fcntl.ioctl(terminal, TIOCSWINSZ, pack("HHHH", height, width, 0, 0))


def make_controlling(terminal: int) -> None:
    """Make it the controlling terminal of this session's leader (credentials(7))."""
    fcntl.ioctl(terminal, TIOCSCTTY, 0)
