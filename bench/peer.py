"""What is measured: something that can be made ready, run once, and taken away."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

COMMAND_TIMEOUT_S = 120


class MissingPeerError(Exception):
    """A peer is not installed or does not work here; the message says why."""


class Peer(Protocol):
    """One way to do what is measured: to run `true` in a container, for most."""

    name: str

    def setup(self, folder: str) -> None:
        """Make ready in `folder`, which is the peer's own; raises `MissingPeerError`."""

    def prepare(self) -> None:
        """Make ready for one run; not timed."""

    def run_once(self) -> None:
        """Do it once.  This is what is timed."""

    def clean_up(self) -> None:
        """Undo one run, as far as it has not done so itself; not timed."""

    def teardown(self) -> None:
        """Undo `setup`, also when that ended half-way."""


def spawn_and_wait(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program (its full path first) as cheaply as the kernel allows; its exit status.

    posix_spawn(3) uses vfork, so that the size of this process does not count.  Standard output
    goes to /dev/null.
    """
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    pid = os.posix_spawn(argv[0], list(argv), environment, file_actions=null)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def command(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """A command's standard output; raises `MissingPeerError` with what it said when it fails."""
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
    """End a process we started: ask, and after the time-out insist."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
