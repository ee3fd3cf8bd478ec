"""Containers that a cell starts, and that are removed when the cell ends in any way.

There are four safety nets, because a notebook's cell can end in many ways.  The end of the `with`
removes the crew, also after an error or an interrupt.  A second run of the cell removes the first
one's crew.  The end of the kernel removes its crews.  And if the kernel is killed, each container
ends by itself after its lifetime, since its command is wrapped in `timeout`; the engine then
removes it, since it was started with `--rm`.
"""

import atexit
import os
import secrets
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from labkit.client import Client
from labkit.client.containers import Container
from labkit.errors import ConflictError, DaemonUnavailableError, NotFoundError

LABEL = "labkit.course"
"""The label on every container of the course; its value has the purpose and the process."""

IMAGE = "busybox"
BUSY = "md5sum /dev/zero"
"""A command that never finishes and always wants the CPU."""

_crews: "weakref.WeakSet[Crew]" = weakref.WeakSet()


class Crew:
    """The containers of one experiment or panel; `purpose` is a word for it, such as `cpu-shares`.

    A new crew removes an older one with the same purpose from this process, and crews whose
    process has ended.
    """

    def __init__(self, client: Client, purpose: str, lifetime_s: float) -> None:
        self.client = client
        self.purpose = purpose
        self.lifetime_s = lifetime_s
        self._mark = f"{purpose}@{_birth(os.getpid())}#{secrets.token_hex(3)}"
        self._sweep()
        _crews.add(self)

    def hire(self, name: str, command: str, **options: Any) -> Container:
        """Start `command` (words for a shell) from busybox; `options` are for `containers.run`.

        The shell stays the first process, with `timeout` as its child: the first process would
        ignore the signal by which `timeout` ends its command (pid_namespaces(7)).
        """
        return self.client.containers.run(
            IMAGE,
            ["sh", "-c", f"timeout {round(self.lifetime_s)} {command}; exit"],
            name=f"{name}-{secrets.token_hex(2)}",
            labels={LABEL: self._mark},
            detach=True,
            remove=True,
            **{"network_mode": "none", **options},
        )

    def hire_plain(
        self,
        name: str,
        command: "str | Sequence[str] | None",
        image: str = IMAGE,
        **options: Any,
    ) -> Container:
        """Start `command` as the container's first process, to watch its end.

        None means the image's command.  There is no lifetime and no `--rm`, so only the first three
        of the safety nets apply.
        """
        return self.client.containers.run(
            image,
            command,
            name=f"{name}-{secrets.token_hex(2)}",
            labels={LABEL: self._mark},
            detach=True,
            **{"network_mode": "none", **options},
        )

    def dismiss(self) -> None:
        """Remove the crew's containers, running or not.  An interrupt waits until that is done."""
        with _interrupts_wait():
            self._remove(lambda mark: mark == self._mark)
        _crews.discard(self)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def _sweep(self) -> None:
        """Remove containers of this purpose whose process has ended."""
        mine = f"{self.purpose}@{_birth(os.getpid())}#"
        self._remove(lambda mark: mark.startswith(mine) or _is_orphan(self.purpose, mark))

    def _remove(self, matches: Callable[[str], bool]) -> None:
        for container in self.client.containers.list(all=True, filters={"label": LABEL}):
            if matches(container.labels.get(LABEL, "")):
                remove(container)


def remove(container: Container) -> None:
    """Remove a container, running or not; one that is already removed is no error."""
    try:
        container.remove(force=True)
    except (NotFoundError, ConflictError):
        return


def _birth(pid: int) -> str:
    """`PID:START` of a process, which is unique over time; "" if there is none (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return f"{pid}:{file.read().rpartition(') ')[2].split()[19]}"
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_orphan(purpose: str, mark: str) -> bool:
    whose, _, rest = mark.partition("@")
    birth = rest.partition("#")[0]
    pid = birth.partition(":")[0]
    return whose == purpose and pid.isdigit() and _birth(int(pid)) != birth


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Delay Ctrl-C (the notebook's stop button) until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@atexit.register
def _dismiss_all() -> None:
    for crew in list(_crews):
        # If the engine has ended before, the containers end by their lifetime.
        with suppress(DaemonUnavailableError):
            crew.dismiss()
