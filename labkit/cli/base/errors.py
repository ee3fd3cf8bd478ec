"""From errors to messages on the terminal and exit codes: the one place.

One line each, beginning with `labkit: `.  Exit codes are Docker's: for `run`, 125 if the engine
failed, 126 and 127 if the command cannot be invoked or is missing; for the other verbs 1; and 125
for an unknown flag or a bad value, whatever the verb.
"""

import sys

from labkit.cli.base.plain import lines
from labkit.errors import LabkitError, StartError

BAD_FLAG = 125
INTERRUPTED = 130
BROKEN_PIPE = 141
STARTING = ("run", "exec")
"""The verbs that exit like the process that they could not start."""


class UsageError(LabkitError):
    """The command line itself is wrong; Docker exits with 125 for flags and 1 for arguments."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def bad_value(text: str, flag: str, why: str) -> UsageError:
    """Return the error for a flag's value, in Docker's words; `flag` as its help spells it."""
    return UsageError(f'invalid argument "{text}" for "{flag}" flag: {why}', BAD_FLAG)


class SignalledError(LabkitError):
    """A signal ends this command while its terminal belongs to a container, which continues."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}; the container still runs")
        self.exit_code = 128 + number


class BuildFailedError(LabkitError):
    """A build has failed; its exit code is that of the failed command."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report(error: LabkitError, verb: str, failure: int) -> int:
    """Print the error; return its own exit code, or else `failure`."""
    if isinstance(error, UsageError):
        help_command = f"labkit {verb} --help" if verb else "labkit --help"
        say(f"{error}; see '{help_command}'")
        return error.exit_code
    say(str(error))
    if isinstance(error, (SignalledError, BuildFailedError)):
        return error.exit_code
    if isinstance(error, StartError) and verb in STARTING:
        return error.exit_code
    return failure


def say(message: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"labkit: {lines(message)}\n")
