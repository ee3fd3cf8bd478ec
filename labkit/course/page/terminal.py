"""A terminal for a notebook: a `labkit` command on a pseudo-terminal, with its keys and its screen.

A notebook has no terminal, but `-it` needs one.  So the page opens one, like a terminal program
(pty(7)), and types.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from labkit.errors import LabkitError

TIMEOUT_S = 90.0
HANG_UP_TIMEOUT_S = 3.0
DETACH = b"\x10\x11"
"""ctrl-p ctrl-q."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """`labkit WORDS…` with one terminal as its stdin, stdout and stderr."""

    def __init__(self, words: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        self._screen = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def ask(self, command: str) -> str:
        """Type a shell command; returns its answer, without the typed line and the prompt.

        LabkitError if there is no answer.
        """
        # In two halves, so that the echo of the typed line is not mistaken for the answer's end.
        self.press(f"{command}; echo a-n''swered\n".encode())
        answer = self._until("a-nswered").rpartition("a-n''swered")[2]
        return answer.strip()

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def end(self) -> int:
        """Wait for the command to end; returns its exit status."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read()
        return self._process.wait(0.1)

    def read(self) -> str | None:
        """The screen's new text since the last call, after at most a tenth of a second.

        None if the command has ended and everything was read.
        """
        is_alive = self._read()
        shown, self._screen = self._screen, ""
        return shown if shown or is_alive else None

    def hang_up(self) -> None:
        """End the command like the closing window of a terminal program (SIGHUP)."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)
            try:
                self._process.wait(HANG_UP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _until(self, wanted: str) -> str:
        deadline = time.monotonic() + TIMEOUT_S
        while wanted not in self._screen:
            if time.monotonic() > deadline or not self._read():
                raise LabkitError(f"the terminal shows no {wanted!r}, but: {self._screen!r}")
        before, _, self._screen = self._screen.partition(wanted)
        return before

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.1)
        if not ready:
            return True
        try:
            part = os.read(self._master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self._screen += _CONTROL.sub("", part.decode("utf-8", "replace"))
        return bool(part)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)
