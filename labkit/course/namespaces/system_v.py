"""System V IPC: a semaphore and shared memory, found by a key, in the namespace of any process.

The calls are semget(2), semctl(2), shmget(2), shmat(2) and shmctl(2); the key is a number that
programs agree on, and each IPC namespace has its own table of keys (ipc_namespaces(7)).
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from labkit.kernel import namespaces

NEW = 0o3600
"""IPC_CREAT, IPC_EXCL, and read and write for the owner."""
IPC_RMID = 0
GETVAL, SETVAL = 12, 16
SIZE_BYTES = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_libc.shmdt.argtypes = (ctypes.c_void_p,)
_NOWHERE = ctypes.c_void_p(-1).value

ResultT = TypeVar("ResultT")


class Found(NamedTuple):
    """The values of a key's objects; None for an object that does not exist."""

    semaphore: int | None
    text: str | None


def in_ipc_of(pid: int, action: Callable[[], ResultT]) -> ResultT:
    """Run `action` in the IPC namespace of a process; OSError.

    It runs in a separate thread, because setns(2) changes only the calling thread.
    """

    def enter() -> ResultT:
        fd = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.setns(fd, namespaces.CLONE_NEWIPC)
        finally:
            os.close(fd)
        return action()

    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(enter).result()


def make(key: int, value: int, text: str) -> None:
    """Make the semaphore with `value`, and the memory with `text`; OSError if one exists."""
    semaphore = _call("semget", key, 1, NEW)
    _call("semctl", semaphore, 0, SETVAL, value)
    memory = _call("shmget", key, SIZE_BYTES, NEW)
    place = _attach(memory)
    ctypes.memmove(place, f"{text}\0".encode(), len(text.encode()) + 1)
    _call("shmdt", place)


def find(key: int) -> Found:
    """Look up the key; nothing is made."""
    value, text = None, None
    with suppress(FileNotFoundError):
        value = _call("semctl", _call("semget", key, 1, 0), 0, GETVAL)
    with suppress(FileNotFoundError):
        place = _attach(_call("shmget", key, 0, 0))
        text = ctypes.string_at(place).decode()
        _call("shmdt", place)
    return Found(value, text)


def remove(key: int) -> None:
    """Remove both, if they exist."""
    with suppress(FileNotFoundError):
        _call("semctl", _call("semget", key, 1, 0), 0, IPC_RMID)
    with suppress(FileNotFoundError):
        _call("shmctl", _call("shmget", key, 0, 0), IPC_RMID, None)


def keys(listing: str) -> set[int]:
    """The keys in the text of /proc/sysvipc/sem or …/shm, as read by a process (proc(5))."""
    return {int(line.split()[0]) for line in listing.splitlines()[1:]}


def _attach(memory: int) -> int:
    place: int = _libc.shmat(memory, None, 0)
    if place == _NOWHERE:
        raise _failure("shmat")
    return place


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        raise _failure(name)
    return result


def _failure(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")
