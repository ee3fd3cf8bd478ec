"""A peer: a subject of the measurements, with its preparation, one run, and its removal."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

COMMAND_TIMEOUT_S = 120


class MissingPeerError(Exception):
    """A peer is not installed or does not work here; the message says why."""


class Peer(Protocol):
    """One subject of the measurements: for most, `true` in a container."""

    name: str

    def setup(self, folder: str) -> None:
        """Prepare in `folder`, which is the peer's own; `MissingPeerError`."""

    def prepare(self) -> None:
        """Prepare one run; not timed."""

    def run_once(self) -> None:
        """Do one run.  This is timed."""

    def clean_up(self) -> None:
        """Undo one run, if it has not done so itself; not timed."""

    def teardown(self) -> None:
        """Undo `setup`, even if that ended half-way."""


def spawn_and_wait(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program (its full path first) as cheaply as the kernel allows; return its exit status.

    posix_spawn(3) uses vfork, so that the size of this process does not count.  Standard output
    goes to /dev/null.
    """
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    pid = os.posix_spawn(argv[0], list(argv), environment, file_actions=null)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def command(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Return a command's standard output; `MissingPeerError` with its message if it fails."""
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise MissingPeerError(f"{argv[0]} is not installed") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise MissingPeerError(f"{os.path.basename(argv[0])}: {said[-1]}")
    return done.stdout.strip()


def end(process: "subprocess.Popen[bytes]", timeout_s: float = 20.0) -> None:
    """End a process of this run: ask it, and kill it after the time-out."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
