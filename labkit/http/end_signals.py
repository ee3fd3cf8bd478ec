"""SIGTERM, SIGINT and perhaps SIGHUP as a descriptor to wait for, beside a listening socket."""

import signal
import socket

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class EndSignals:
    """Make these signals only make `fileno()` readable; use it in the main thread.

    A Python handler that raises does not work.  It runs in the main thread, which continues to
    sleep in accept(2) if the kernel has given the signal to another thread (signal(7)), and its
    exception is lost within a finaliser.  The C handler writes the byte, in whichever thread.
    """

    def __init__(self, *, hangup: bool = False) -> None:
        """With `hangup` SIGHUP is received here as well, and does not end the process."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (*NUMBERS, *([signal.SIGHUP] if hangup else [])):
            signal.signal(number, _nothing)

    def fileno(self) -> int:
        """The descriptor that is readable after a signal."""
        return self._reader.fileno()

    def is_hangup(self) -> bool:
        """Consume the signals received; return whether all are SIGHUP."""
        return set(self._reader.recv(64)) == {signal.SIGHUP}


def _nothing(number: int, frame: object) -> None:
    """Do nothing: the byte has been written, but Python needs a handler."""
