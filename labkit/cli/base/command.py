"""The parts of a verb's module, and its input.

Each verb is a module with `COMMAND`, its flags and arguments as data, and `execute`, which does the
work and returns the exit code.
"""

import sys

from labkit.cli.base.errors import UsageError, say
from labkit.client.api import Api
from labkit.errors import DaemonUnavailableError, LabkitError, NotFoundError
from labkit.paths import Paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from labkit.cli.base.flags import Flag

    class Verb(Protocol):
        """The module of a verb."""

        COMMAND: "Command"

        @staticmethod
        def execute(context: "Context", options: "dict[str, Any]", arguments: list[str]) -> int:
            """Run the command; return the exit code."""


class Command:
    """A verb's form on the command line.

    `usage` follows the verb in the help.  `interspersed` says whether flags may follow arguments,
    and `failure` is the exit code if the engine refuses or fails.
    """

    def __init__(
        self,
        usage: str,
        flags: "Sequence[Flag]" = (),
        *,
        at_least: int = 0,
        at_most: int | None = None,
        interspersed: bool = True,
        failure: int = 1,
    ) -> None:
        self.usage = usage
        self.flags = flags
        self.at_least = at_least
        self.at_most = at_most
        self.interspersed = interspersed
        self.failure = failure

    def check_count(self, verb: str, arguments: "Sequence[str]") -> None:
        """Raise UsageError, in Docker's words, for too few arguments or too many."""
        count = len(arguments)
        if self.at_least <= count and (self.at_most is None or count <= self.at_most):
            return
        if self.at_most == 0:
            wanted = "accepts no arguments"
        elif self.at_most == self.at_least:
            wanted = f"requires {_plural(self.at_least)}"
        elif count < self.at_least:
            wanted = f"requires at least {_plural(self.at_least)}"
        else:
            wanted = f"accepts at most {_plural(self.at_most or 0)}"
        raise UsageError(f"'labkit {verb}' {wanted}")


class Context:
    """The labkit that this command is about: its folders, and its daemon when it is needed."""

    def __init__(self, root: str = "", run: str = "") -> None:
        self.paths = Paths.from_environment(root or None, run or None)

    def api(self) -> Api:
        """Return the daemon's API; root starts the daemon if it is down; DaemonUnavailableError."""
        api = Api(self.paths.socket)
        try:
            api.connect()
        except DaemonUnavailableError:
            from labkit.client import daemon  # noqa: PLC0415 rarely needed, costly to import

            daemon.ensure(self.paths)
        return api


def for_each(
    names: "Sequence[str]", action: "Callable[[str], object]", *, forgive_missing: bool = False
) -> int:
    """Call `action` for each name, in order; print what it returns, or else the name.

    An error does not stop the others, unless the daemon has ended.  Returns the exit code; with
    `forgive_missing` a missing object is reported, and is no failure.
    """
    exit_code = 0
    for name in names:
        try:
            result = action(name)
        except DaemonUnavailableError:
            raise
        except LabkitError as error:
            say(str(error))
            if not (forgive_missing and isinstance(error, NotFoundError)):
                exit_code = 1
        else:
            sys.stdout.write(f"{name if result is None else result}\n")
            sys.stdout.flush()
    return exit_code


def _plural(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"
