"""Passing our signals on to the container, as Docker's command does (`--sig-proxy`)."""

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
"""How many SIGINT and SIGTERM it takes to leave a container that does not end of them."""


class LeftRunningError(LabkitError):
    """The user has had enough of waiting for the container to end."""


class SignalProxy:
    """As a context, receives the signals; what comes before there is a container is kept for it.

    One that is not `enabled` (`--sig-proxy=false`) leaves them alone: they end this command, and
    the container goes on.
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
        """From now on the signals, and those kept, go to this container, which runs."""
        self._container_id = container_id
        for number in self._received:
            self._forward(number)

    def _receive(self, number: int, frame: "FrameType | None") -> None:
        self._received.append(number)
        if self._received.count(signal.SIGINT) + self._received.count(signal.SIGTERM) >= PATIENCE:
            raise LeftRunningError(
                f"got {PATIENCE} signals to end, and leaves; if the container still runs: "
                f"labkit kill {self._container_id[:12]}"
            )
        if self._container_id:
            self._forward(number)

    def _forward(self, number: int) -> None:
        try:
            # With a connection of its own: this interrupts whatever is going on on the others.
            api = self._context.api()
            api.post(f"{container_path(self._container_id)}/kill", signal=number)
            api.close()
        except LabkitError:
            return  # it has just ended; or there is no daemon now, and the next signal gets through
