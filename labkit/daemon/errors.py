"""From errors to HTTP: the status, and the answer a client gets.

The body is Docker's, `{"message": …}`.  A `StartError` says more under `labkit`: the exit code
`docker run` would have, the step of the plan that failed, and all the steps as they went.
"""

from labkit.errors import (
    LabkitError,
    StartError,
)
from labkit.http.errors import ProtocolError
from labkit.http.responses import Response, json_response

COMMAND_CANNOT_RUN = (126, 127)
"""The exit codes of a command that cannot be invoked, or is not there: the client's mistake."""


GO_WORDS = ("No such file or directory", "Permission denied", "Is a directory")
"""What Go's syscall package writes small: `docker run` reads its exit code, 126 or 127, from these
words in the message, and minds the case."""


class UnsupportedError(LabkitError):
    """Docker's API knows this, labkit does not do it.  The message names what it was."""

    http_status = 501


class UnavailableError(LabkitError):
    """What is asked for is not there, though it is Docker's API: a swarm."""

    http_status = 503


def status_of(error: Exception) -> int:
    """The HTTP status that stands for an error; 500 for what is nobody's fault but ours."""
    if isinstance(error, ProtocolError):
        return error.status
    if isinstance(error, StartError):
        return 400 if error.exit_code in COMMAND_CANNOT_RUN else 500
    return error.http_status if isinstance(error, LabkitError) else LabkitError.http_status


def error_message(error: Exception) -> str:
    """What a client is told."""
    message = str(error) or type(error).__name__
    if isinstance(error, StartError):
        for words in GO_WORDS:
            message = message.replace(words, words.lower())
    return message


def error_response(error: Exception) -> Response:
    """The answer to a request that failed with `error`."""
    status = status_of(error)
    if status == 304:
        return Response(status)
    body: dict[str, object] = {"message": error_message(error)}
    if isinstance(error, StartError):
        body["labkit"] = {
            "exit_code": error.exit_code,
            "step": error.step,
            "steps": error.steps,
        }
    return json_response(body, status)
