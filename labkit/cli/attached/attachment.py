"""Staying with a container: what goes in, what comes out, and its exit code.

The streams are on a connection that labkitd has handed to the container's shim, so they go on when
labkitd dies; labkitd reports the container's end on another connection
(`labkit.cli.attached.ending`).
"""

import contextlib
import os
import signal

from labkit.cli.attached.ending import Ending
from labkit.cli.attached.pump import Pump, say_detached
from labkit.cli.attached.signals import SignalProxy
from labkit.cli.attached.streams import STDIN, STREAMS, check_is_terminal
from labkit.cli.base.command import Context
from labkit.client.api import Api, container_path
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from labkit.cli.attached.raw_terminal import RawTerminal


def join(
    context: Context,
    api: Api,
    container: "dict[str, Any]",
    options: "dict[str, Any]",
    *,
    stdin: bool,
    begin: "Callable[[], None] | None" = None,
) -> int:
    """Stay with a container that is there; its exit code, 0 when its terminal is left.

    `container` is what inspect shows, `begin` starts it, unless it runs.  Our stdin is passed on
    if `stdin` and if the container has kept its own open.
    """
    config, container_id = container["Config"], container["Id"]
    wanted = list(STREAMS) if stdin and config["OpenStdin"] else ["stdout", "stderr"]
    if config["Tty"] and "stdin" in wanted:
        check_is_terminal()
    with (
        SignalProxy(context, enabled=options["sig_proxy"]) as signals,
        Attachment(
            context,
            api,
            container_id,
            removal=container["HostConfig"]["AutoRemove"],
            streams=wanted,
            tty=config["Tty"],
            detach_keys=options["detach_keys"],
        ) as attachment,
    ):
        if begin:
            begin()
        with attachment.terminal() as terminal:
            if terminal:
                terminal.redraw()
            else:
                signals.send_to(container_id)
            return attachment.follow()


class Attachment:
    """Joined to a container, with both connections open, so that nothing of it is missed.

    As a context; with a terminal on both sides ours is raw from `follow` to the end.
    """

    def __init__(
        self,
        context: Context,
        api: Api,
        container_id: str,
        *,
        removal: bool,
        streams: "Collection[str]" = ("stdout", "stderr"),
        tty: bool = False,
        detach_keys: str = "",
    ) -> None:
        """`removal` says that the container will be removed when it ends; `tty` that it has one."""
        self._context = context
        self._api = api
        self._path = container_path(container_id)
        self.is_raw = tty and "stdin" in streams and os.isatty(STDIN)
        """Whether our terminal is handed over; then signals are keys, and not to be passed on."""
        response = api.hijack(
            f"{self._path}/attach",
            stream=True,
            detachKeys=detach_keys or None,
            **{name: name in streams for name in STREAMS},
        )
        self._pump = Pump(response, tty=tty, stdin="stdin" in streams, detach_keys=detach_keys)
        self._ending = Ending(context, api, container_id, removal=removal)

    def terminal(self) -> "contextlib.AbstractContextManager[RawTerminal | None]":
        """The context in which our terminal is the container's, where it is handed over."""
        if not self.is_raw:
            return contextlib.nullcontext()
        from labkit.cli.attached.raw_terminal import RawTerminal  # noqa: PLC0415 for terminals alone

        return RawTerminal(self._context, f"{self._path}/resize")

    def follow(self) -> int:
        """Pass everything on until the output ends; the container's exit code, 0 when detached.

        BrokenPipeError when nobody reads the output any more; the container is killed then.
        """
        try:
            detached = self._pump.run(self._ending)
        except BrokenPipeError:
            # A program of the host would be killed by SIGPIPE here.  Process 1 of a container is
            # immune to that, and would fill its log for ever.
            self._kill()
            raise
        except OSError as error:
            raise LabkitError(
                f"cannot pass the output on: {error.strerror}; the container goes on, "
                "and 'labkit logs' shows what it prints"
            ) from error
        if detached:
            say_detached()
            return 0
        return self._ending.exit_code()

    def _kill(self) -> None:
        try:
            self._api.post(f"{self._path}/kill", signal=int(signal.SIGKILL))
            self._ending.exit_code()
        except LabkitError:
            return  # it has ended already, or the daemon has, and there is nobody to tell

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of both connections; the container goes on if it has not ended."""
        self._pump.close()
        self._ending.close()
