"""A person at a terminal, for tests: a command on a pseudo-terminal, its keys and its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

TIMEOUT_S = 20.0
DETACH = b"\x10\x11"
"""ctrl-p ctrl-q."""


class Terminal:
    """A running command whose stdin, stdout and stderr are one terminal."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (24, 80)
    ) -> None:
        self.screen = b""
        self.master, slave = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, height: int, width: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def window_changes(self) -> None:
        self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def see(self, wanted: bytes) -> bytes:
        """Wait until the screen shows it; return the output up to there."""
        deadline = time.monotonic() + TIMEOUT_S
        while wanted not in self.screen:
            assert time.monotonic() < deadline, self.screen
            assert self._read(0.2), self.screen
        before, _, self.screen = self.screen.partition(wanted)
        return before + wanted

    def _read(self, seconds: float) -> bool:
        """Read what has arrived; false if the other end is closed."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            part = os.read(self.master, 65536)
        except OSError:  # EIO: no process has the terminal open any more
            part = b""
        self.screen += part
        return bool(part)

    def end(self) -> int:
        """Wait for the command to end; return its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(0.1):
            assert time.monotonic() < deadline, self.screen
            if self.process.poll() is not None and not self._pending():
                break
        return self.process.wait(TIMEOUT_S)

    def _pending(self) -> bool:
        return bool(select.select([self.master], [], [], 0)[0])

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
