"""SIGTERM, SIGINT and perhaps SIGHUP as something to wait for, beside a listening socket."""

import signal
import socket

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class EndSignals:
    """From now on these signals only make `fileno()` readable; to be made in the main thread.

    A Python handler that raises would not do.  It runs in the main thread, which goes on sleeping
    in accept(2) when the kernel has given the signal to another thread (signal(7)), and what it
    raises is lost within a finaliser.  The byte is written by the C handler, in whichever thread.
    """

    def __init__(self, *, hangup: bool = False) -> None:
        """With `hangup` SIGHUP comes here as well, and does not end the process."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (*NUMBERS, *([signal.SIGHUP] if hangup else [])):
            signal.signal(number, _nothing)

    def fileno(self) -> int:
        """Readable once a signal has come."""
        return self._reader.fileno()

    def is_hangup(self) -> bool:
        """Whether all that has come is SIGHUP; it is taken."""
        return set(self._reader.recv(64)) == {signal.SIGHUP}


def _nothing(number: int, frame: object) -> None:
    """The byte has been written: Python wants a handler none the less."""
