"""Passing the command's signals to the container, as Docker's command does (`--sig-proxy`)."""

import signal

from labkit.cli.base.command import Context
from labkit.client.api import container_path
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
PATIENCE = 3
"""How many SIGINT and SIGTERM end the command if the container survives them."""


class LeftRunningError(LabkitError):
    """The user no longer waits for the container to end."""


class SignalProxy:
    """A context that receives the signals, and keeps those that arrive before the container runs.

    One that is not `enabled` (`--sig-proxy=false`) changes nothing: signals end this command, and
    the container continues.
    """

    def __init__(self, context: Context, *, enabled: bool = True) -> None:
        self._context = context
        self._numbers = FORWARDED if enabled else ()
        self._container_id = ""
        self._received: list[int] = []

    def __enter__(self) -> "SignalProxy":
        self._before = [signal.signal(number, self._receive) for number in self._numbers]
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in zip(self._numbers, self._before, strict=True):
            signal.signal(number, handler)

    def send_to(self, container_id: str) -> None:
        """From now on pass the signals, and the kept ones, to this running container."""
        self._container_id = container_id
        for number in self._received:
            self._forward(number)

    def _receive(self, number: int, frame: "FrameType | None") -> None:
        self._received.append(number)
        if self._received.count(signal.SIGINT) + self._received.count(signal.SIGTERM) >= PATIENCE:
            raise LeftRunningError(
                f"got {PATIENCE} signals to end, and detaches; if the container still runs: "
                f"labkit kill {self._container_id[:12]}"
            )
        if self._container_id:
            self._forward(number)

    def _forward(self, number: int) -> None:
        try:
            # With its own connection: this interrupts the work on the others.
            api = self._context.api()
            api.post(f"{container_path(self._container_id)}/kill", signal=number)
            api.close()
        except LabkitError:
            return  # it has just ended, or no daemon runs now: the next signal may arrive
