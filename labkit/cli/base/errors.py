"""From errors to what the terminal shows and the exit code: the one place.

One line each, beginning with `labkit: `.  Exit codes are Docker's: of `run`, 125 when the engine
failed, 126 and 127 when the command cannot be invoked or is not there; of the other verbs 1; and
125 for a flag that does not exist or has a bad value, whatever the verb.
"""

import sys

from labkit.errors import LabkitError, StartError

BAD_FLAG = 125
INTERRUPTED = 130
BROKEN_PIPE = 141
STARTING = ("run", "exec")
"""The verbs that exit as the process would that they could not start."""


class UsageError(LabkitError):
    """The command line itself is wrong; Docker exits with 125 for flags and 1 for arguments."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SignalledError(LabkitError):
    """A signal ends this command while its terminal belongs to a container, which goes on."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}; the container goes on")
        self.exit_code = 128 + number


class BuildFailedError(LabkitError):
    """A build has failed; its exit code is that of the command that did."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report(error: LabkitError, verb: str, failure: int) -> int:
    """Print the error; returns the exit code, which is `failure` unless the error knows better."""
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
    """One line on stderr."""
    sys.stderr.write(f"labkit: {message}\n")
