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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.page.owners import LABEL, birth, is_orphan, remove_marked
from labkit.errors import DaemonUnavailableError

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
        self._mark = f"{purpose}@{birth(os.getpid())}#{secrets.token_hex(3)}"
        self._sweep()
        _crews.add(self)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that make a container, or a network, one of this crew."""
        return {LABEL: self._mark}

    def hire(self, name: str, command: str, **options: Any) -> Container:
        """Start `command` (words for a shell) from busybox; `options` are for `containers.run`.

        The shell stays the first process, with `timeout` as its child: the first process would
        ignore the signal by which `timeout` ends its command (pid_namespaces(7)).
        """
        return self.client.containers.run(
            IMAGE,
            ["sh", "-c", f"timeout {round(self.lifetime_s)} {command}; exit"],
            name=f"{name}-{secrets.token_hex(2)}",
            labels=self.labels,
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
            labels=self.labels,
            detach=True,
            **{"network_mode": "none", **options},
        )

    def dismiss(self) -> None:
        """Remove the crew's containers and networks.  An interrupt waits until that is done."""
        with _interrupts_wait():
            remove_marked(self.client, lambda mark: mark == self._mark)
        _crews.discard(self)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def _sweep(self) -> None:
        """Remove what an older crew of this purpose has left, or one whose process has ended."""
        mine = f"{self.purpose}@{birth(os.getpid())}#"
        prefix = f"{self.purpose}@"
        remove_marked(
            self.client,
            lambda mark: mark.startswith(mine) or (mark.startswith(prefix) and is_orphan(mark)),
        )


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
