"""The duties of process 1: it waits for orphans, and ignores signals that it has no handler for.

The kernel makes process 1 of its PID namespace the parent of an orphan.  If that never waits, the
orphan stays a zombie.  A signal without a handler has no effect on process 1; sent from inside, not
even SIGKILL has one (pid_namespaces(7)).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import psutil

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

PATIENCE_S = 0.5
"""How long a process may take until it has ended or its parent has waited for it."""
MOST_S = 10.0
LONG, SHORT = "sleep 60", "sleep 0.05"
SCRIPT = f"({SHORT} &); exec {LONG}"
"""Leaves an orphan: the shell in brackets ends at once, and its child ends a moment later."""


class Fate(NamedTuple):
    """The fate of the orphan, and of process 1 after the signals."""

    process_1: str
    zombies: int
    lives_after_kill_inside: bool
    """After `kill -9 1`, sent from inside."""
    exit_code: int | None
    """After SIGTERM from outside; None if it still runs."""


@dataclass(frozen=True)
class FirstProcess:
    """The same command as process 1, and below an init."""

    fates: tuple[Fate, ...]

    @property
    def holds(self) -> bool:
        """Whether it waits for no orphan and ignores signals alone, but not below an init."""
        return [fate[1:] for fate in self.fates] == [(1, True, None), (0, True, 143)]

    def table(self) -> Table:
        """A row for each process 1."""
        return Table(
            ("process 1 is", "an orphan that ends", "kill -9 1, inside", "SIGTERM, from outside"),
            tuple(
                (
                    fate.process_1,
                    "stays a zombie" if fate.zombies else "is waited for",
                    "nothing happens" if fate.lives_after_kill_inside else "it ends",
                    "nothing happens" if fate.exit_code is None else f"ends it: {fate.exit_code}",
                )
                for fate in self.fates
            ),
        )


def first_process(*, client: Client | None = None) -> FirstProcess:
    """Try both on `sleep` as process 1, and on `sleep` below an init (`--init`)."""
    client = client or connect()
    with Crew(client, "first-process", lifetime_s=60) as crew:
        alone = crew.hire_plain("alone", ["sh", "-c", SCRIPT])
        below = crew.hire_plain("below", ["sh", "-c", SCRIPT], init=True)
        return FirstProcess((_fate("sleep", alone), _fate("an init (--init)", below)))


def _fate(process_1: str, container: Container) -> Fate:
    container.reload()
    first = psutil.Process(int(container.attrs["State"]["Pid"]))
    if not _becomes(lambda: _runs(first, LONG) and not _runs(first, SHORT), MOST_S):
        raise LabkitError(f"{container.name}: its processes are not as they should be by now")
    # A parent waits for an orphan within a moment; only a longer time shows that none does.
    _becomes(lambda: _zombies(first) == 0, PATIENCE_S)
    zombies = _zombies(first)
    container.exec_run(["kill", "-9", "1"])
    lives = not _becomes(lambda: not first.is_running(), PATIENCE_S)
    container.kill("TERM")
    ended = _becomes(lambda: _status(container) == "exited", PATIENCE_S)
    return Fate(process_1, zombies, lives, container.attrs["State"]["ExitCode"] if ended else None)


def _runs(first: psutil.Process, command: str) -> bool:
    return any(command.split() == words for _, words in _processes(first))


def _zombies(first: psutil.Process) -> int:
    return sum(status == psutil.STATUS_ZOMBIE for status, _ in _processes(first))


def _processes(first: psutil.Process) -> list[tuple[str, list[str]]]:
    """The status and the command line of each process; a zombie has no command line."""
    found = []
    for one in (first, *first.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it may end during this look
            seen = one.as_dict(["status", "cmdline"], ad_value=[])
            found.append((str(seen["status"]), list(seen["cmdline"])))
    return found


def _status(container: Container) -> str:
    container.reload()
    return container.status


def _becomes(is_so: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.01)
    return False
