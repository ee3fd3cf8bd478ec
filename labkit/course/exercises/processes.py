"""Processes as /proc shows them (proc(5)), and looking from within their namespaces."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from labkit.kernel import namespaces, processes

ResultT = TypeVar("ResultT")
start_time = processes.start_time


def namespace(pid: int, kind: str) -> int:
    """The inode of a namespace of a process; 0 if there is no such process."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino if pid > 0 else 0
    except OSError:
        return 0


def every() -> Iterator[int]:
    """The numbers of all processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def words_of(pid: int) -> tuple[str, ...]:
    """The words with which a process was started; () if it has ended, or is the kernel's own."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return tuple(file.read().decode("utf-8", "replace").split("\0")[:-1])
    except OSError:
        return ()


def with_words(words: Sequence[str]) -> list[int]:
    """The processes started with exactly these words; the first may have a path before it."""

    def fits(found: tuple[str, ...]) -> bool:
        # Several programs in one, as busybox is, are started with their own name as first word.
        own = found[1:] if found[:1] and os.path.basename(found[0]) == "busybox" else found
        return any(
            len(each) == len(words)
            and os.path.basename(each[0]) == words[0]
            and tuple(each[1:]) == tuple(words[1:])
            for each in (found, own)
            if each
        )

    return sorted(pid for pid in every() if fits(words_of(pid)))


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status; {} if the process has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            pairs = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in pairs}
    except OSError:
        return {}


def inside(pid: int, kinds: Sequence[str], look: Callable[[], ResultT]) -> ResultT:
    """Call `look` in a process that has joined namespaces of `pid`; its result, JSON only.

    OSError if the process has ended, or a namespace may not be entered.
    """
    files = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]

    def enter() -> None:
        for fd in files:
            namespaces.setns(fd)

    try:
        return in_child(enter, look)
    finally:
        for fd in files:
            os.close(fd)


def in_child(enter: Callable[[], None], look: Callable[[], ResultT]) -> ResultT:
    """Call `look` in a child process, after `enter`; its result, JSON only.  OSError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer: dict[str, Any] = {}
        try:
            os.close(reader)
            enter()
            answer = {"found": look()}
        except OSError as error:
            answer = {"errno": error.errno, "text": str(error)}
        finally:
            with os.fdopen(writer, "w") as file:
                json.dump(answer, file)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    answer = json.loads(said or "{}")
    if "found" not in answer:
        raise OSError(answer.get("errno", 0), answer.get("text", "the look failed"))
    return answer["found"]  # type: ignore[no-any-return]  # the result of `look`, by JSON
