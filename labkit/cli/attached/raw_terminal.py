"""The command's terminal while it belongs to a container: raw, with its size passed on, restored.

In raw mode (cfmakeraw in termios(3)) every key goes to the container as it is, ctrl-C included; the
container's own terminal interprets the keys.
"""

import signal
import termios
import tty

from labkit.cli.attached.streams import STDIN, console_size
from labkit.cli.base.command import Context
from labkit.cli.base.errors import SignalledError
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that would end the command with its terminal still raw."""


class RawTerminal:
    """A context in which stdin's terminal is raw, and SIGWINCH resizes the container's.

    `resize_path` is the API's path to resize that one.
    """

    def __init__(self, context: Context, resize_path: str) -> None:
        self._context = context
        self._resize_path = resize_path

    def __enter__(self) -> "RawTerminal":
        self._before = [(number, signal.signal(number, self._end)) for number in ENDING]
        self._before.append((signal.SIGWINCH, signal.signal(signal.SIGWINCH, self._changed)))
        self._modes = termios.tcgetattr(STDIN)
        tty.setraw(STDIN, termios.TCSADRAIN)
        return self

    def __exit__(self, *exception: object) -> None:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, self._modes)
        for number, handler in self._before:
            signal.signal(number, handler)

    def resize(self, height: int, width: int) -> None:
        """Set the size of the container's terminal; nothing if the container has just ended."""
        if not (height and width):
            return
        try:
            # With its own connection: this interrupts the work on the others.
            api = self._context.api()
            api.post(self._resize_path, h=height, w=width)
            api.close()
        except LabkitError:
            return

    def redraw(self) -> None:
        """Make the program redraw for a terminal that just attached: change its size twice."""
        height, width = console_size() or (0, 0)
        self.resize(height + 1 if height else 0, width + 1)
        self.resize(height, width)

    def _changed(self, number: int, frame: "FrameType | None") -> None:
        self.resize(*(console_size() or (0, 0)))

    def _end(self, number: int, frame: "FrameType | None") -> None:
        raise SignalledError(number)
