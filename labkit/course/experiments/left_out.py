"""Each namespace left out once (`--without`): what a process inside sees then.

Users of its own a container has with `--userns private` only, so that flag is given where they are
left out.  A time namespace is no step of any start.
The mount namespace cannot be: the container's root would become the host's.  Left out instead is
the step that goes to the new root, `pivot_root`.
"""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from labkit.client import Client
from labkit.course import system_v
from labkit.course.crew import Crew
from labkit.course.experiments.inter_process import KEY, TEXT, VALUE
from labkit.course.lab import connect
from labkit.course.table import Table

HOSTS_KEY = KEY + 1
"""The host's own, for the time of the experiment."""


class Question(NamedTuple):
    """What is asked inside, in a shell, and which answers are the host's."""

    step: str
    asks: str
    command: str
    is_hosts: Callable[[str], bool]
    options: Mapping[str, str] = MappingProxyType({})
    """Of both containers, as `containers.run` takes them."""


class Answer(NamedTuple):
    """What a container says with every step of the start, and what one says without this one."""

    question: Question
    with_it: str
    without_it: str


def _root() -> str:
    found = os.stat("/")
    return f"{found.st_dev}:{found.st_ino}"


QUESTIONS = (
    Question("pivot_root", "device and inode of /", "stat -c %d:%i /", lambda it: it == _root()),
    Question("namespace.uts", "hostname", "hostname", lambda it: it == platform.node()),
    Question(
        "namespace.ipc",
        "how many semaphores has the host's key?",
        f"grep -cw {HOSTS_KEY} /proc/sysvipc/sem",
        lambda it: it == "1",
    ),
    Question("namespace.pid", "my own number", "echo $$", lambda it: it != "1"),
    Question(
        "namespace.network",
        "how many interfaces are there?",
        "ls /sys/class/net | wc -l",
        lambda it: int(it) == len(os.listdir("/sys/class/net")),
    ),
    Question(
        "namespace.cgroup",
        "my group",
        "grep -m 1 -E ':(memory|):' /proc/self/cgroup | cut -d : -f 3 | cut -d / -f 1-2",
        lambda it: it != "/",
    ),
    Question(
        "namespace.user",
        "who root is on the host",
        "awk '{ print $2 }' /proc/self/uid_map",
        lambda it: it == "0",
        {"userns_mode": "private"},
    ),
)


@dataclass(frozen=True)
class LeftOut:
    """The answers, a question a namespace."""

    answers: tuple[Answer, ...]

    @property
    def holds(self) -> bool:
        """With its namespace a container never sees the host's, without it always."""
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
    """Ask a whole container all of it, and then one container each without the step."""
    client = client or connect()
    system_v.make(HOSTS_KEY, VALUE, TEXT)
    try:
        with Crew(client, "left-out", lifetime_s=60) as crew:
            return LeftOut(tuple(_answer(crew, one) for one in QUESTIONS))
    finally:
        system_v.remove(HOSTS_KEY)


def _answer(crew: Crew, question: Question) -> Answer:
    said = []
    for without in ([], [question.step]):
        box = crew.hire_plain(
            "asked", ["sh", "-c", question.command], without=without, **question.options
        )
        box.wait()
        said.append(box.logs().decode().strip())
    return Answer(question, *said)
