"""Containers that a cell starts and that are removed when the cell ends, whatever happens.

There are four safety nets, because a notebook's cell can end in many ways.  The end of the `with`
removes the crew, also after an error or an interrupt.  A second run of the cell removes the first
one's crew.  The end of the kernel removes its crews.  And if the kernel is killed, each container
ends by itself after its lifetime, since its command is wrapped in `timeout`, and the engine removes
it, since it was started with `--rm`.
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

    Making a crew dismisses an older one with the same purpose from this process, and those whose
    process no longer lives.
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
        """Start `command` (words for a shell) from busybox; `options` are `containers.run`'s.

        The shell stays first process and `timeout` its child: a container's first process would
        not feel the signal with which `timeout` ends what it watches (pid_namespaces(7)).
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
        """Start `command` as the container's own first process, to watch how that ends.

        A command that is None is what the image says.  No lifetime and no `--rm`: of the four nets
        these have the first three.
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
    """Hold Ctrl-C (the notebook's stop button) back until the block is done, then let it happen."""
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
        # If the engine ended first, the containers end by their lifetime.
        with suppress(DaemonUnavailableError):
            crew.dismiss()
