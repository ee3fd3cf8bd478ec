"""An attached container: input, output, and exit code.

labkitd has passed the connection of the streams to the container's shim, so they continue when
labkitd dies.  labkitd reports the container's end on another connection
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
    """Attach to an existing container; return its exit code, 0 if the user detaches.

    `container` is its description by inspect; `begin` starts it, unless it runs.  The command's
    stdin is passed on if `stdin` is set and the container's is open.
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
    """An attached container, with both connections open, so that no output is missed.

    A context; if both sides have terminals, the command's is raw from `follow` to the end.
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
        """`removal`: the container is removed when it ends; `tty`: it has a terminal."""
        self._context = context
        self._api = api
        self._path = container_path(container_id)
        self.is_raw = tty and "stdin" in streams and os.isatty(STDIN)
        """Whether the command's terminal belongs to the container; then signals are keys."""
        response = api.hijack(
            f"{self._path}/attach",
            stream=True,
            detachKeys=detach_keys or None,
            **{name: name in streams for name in STREAMS},
        )
        self._pump = Pump(response, tty=tty, stdin="stdin" in streams, detach_keys=detach_keys)
        self._ending = Ending(context, api, container_id, removal=removal)

    def terminal(self) -> "contextlib.AbstractContextManager[RawTerminal | None]":
        """Return the context in which the container has the command's terminal, if it does."""
        if not self.is_raw:
            return contextlib.nullcontext()
        from labkit.cli.attached.raw_terminal import RawTerminal  # noqa: PLC0415 for terminals alone

        return RawTerminal(self._context, f"{self._path}/resize")

    def follow(self) -> int:
        """Pass all data on until the output ends; return the exit code, 0 if the user detached.

        BrokenPipeError if no process reads the output any more; then the container is killed.
        """
        try:
            detached = self._pump.run(self._ending)
        except BrokenPipeError:
            # SIGPIPE would kill a program of the host here.  Process 1 of a container is immune to
            # it, and would fill its log for ever.
            self._kill()
            raise
        except OSError as error:
            raise LabkitError(
                f"cannot pass the output on: {error.strerror}; the container still runs, "
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
            return  # it has ended already, or no daemon runs

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(self, *exception: object) -> None:
        """Close both connections; the container continues if it has not ended."""
        self._pump.close()
        self._ending.close()
