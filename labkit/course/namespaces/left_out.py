"""Each namespace left out once (`--without`), and a process's view without it.

A container has a user namespace only with `--userns private`, so that flag is given when the user
namespace is left out.  A time namespace is not a step of any start.
The mount namespace cannot be left out: the container's root would become the host's.  Instead, the
step that enters the new root is left out, `pivot_root`.
"""

import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from labkit.client import Client
from labkit.course.figures.table import Table
from labkit.course.namespaces import system_v
from labkit.course.namespaces.inter_process import TEXT, VALUE
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect

FIRST_MARK = 0x1AB00000
"""The process number is added, since two of these experiments may run at once on one host."""
THERE = "echo there || echo not there"


class Question(NamedTuple):
    """A question inside, as a command for a shell, and a test for the host's answers."""

    step: str
    asks: str
    command: str
    is_hosts: Callable[[str], bool]
    options: Mapping[str, str] = MappingProxyType({})
    """Options of both containers, in the form of `containers.run`."""


class Answer(NamedTuple):
    """The answer of a container with every step of the start, and of one without this step."""

    question: Question
    with_it: str
    without_it: str


def questions(mark: int) -> tuple[Question, ...]:
    """The questions; `mark` is the key of a semaphore and part of a socket's name on the host."""
    return (
        Question("pivot_root", "device and inode of /", "stat -c %d:%i /", _is_root),
        Question("namespace.uts", "hostname", "hostname", lambda it: it == platform.node()),
        Question(
            "namespace.ipc",
            "a semaphore of the host's",
            f"grep -qw {mark} /proc/sysvipc/sem && {THERE}",
            lambda it: it == "there",
        ),
        Question("namespace.pid", "my own number", "echo $$", lambda it: it != "1"),
        Question(
            "namespace.network",
            "a socket of the host's",
            f"grep -q {_socket_name(mark)} /proc/net/unix && {THERE}",
            lambda it: it == "there",
        ),
        Question(
            "namespace.cgroup",
            "my group",
            "grep -m 1 -E ':(memory|):' /proc/self/cgroup | cut -d : -f 3 | cut -d / -f 1-2",
            lambda it: it != "/",
        ),
        Question(
            "namespace.user",
            "root's number on the host",
            "awk '{ print $2 }' /proc/self/uid_map",
            lambda it: it == "0",
            {"userns_mode": "private"},
        ),
    )


def _is_root(answer: str) -> bool:
    found = os.stat("/")
    return answer == f"{found.st_dev}:{found.st_ino}"


def _socket_name(mark: int) -> str:
    return f"labkit-left-out-{mark}"


@dataclass(frozen=True)
class LeftOut:
    """The answers, a question for each namespace."""

    answers: tuple[Answer, ...]

    @property
    def holds(self) -> bool:
        """Whether a container sees the host's part never with its namespace, always without it."""
        return all(
            (one.question.is_hosts(one.with_it), one.question.is_hosts(one.without_it))
            == (False, True)
            for one in self.answers
        )

    def table(self) -> Table:
        """A row for each step left out."""
        return Table(
            ("asked inside", "in a container", "without", "it is then"),
            tuple(
                (one.question.asks, one.with_it, one.question.step, one.without_it)
                for one in self.answers
            ),
        )


def left_out(*, client: Client | None = None) -> LeftOut:
    """Ask a complete container all questions, and one container without each step its question."""
    client = client or connect()
    mark = FIRST_MARK + os.getpid()
    with _on_the_host(mark), Crew(client, "left-out", lifetime_s=60) as crew:
        return LeftOut(tuple(_answer(crew, one) for one in questions(mark)))


@contextmanager
def _on_the_host(mark: int) -> Iterator[None]:
    """Make a semaphore with that key, and a socket of that name, on the host during the block.

    The socket has an abstract name, and so belongs to the network namespace (unix(7)).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mine:
        mine.bind(f"\0{_socket_name(mark)}")
        system_v.make(mark, VALUE, TEXT)
        try:
            yield
        finally:
            system_v.remove(mark)


def _answer(crew: Crew, question: Question) -> Answer:
    said = []
    for without in ([], [question.step]):
        box = crew.hire_plain(
            "asked", ["sh", "-c", question.command], without=without, **question.options
        )
        box.wait()
        said.append(box.logs().decode().strip())
    return Answer(question, *said)
