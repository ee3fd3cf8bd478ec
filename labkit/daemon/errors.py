"""The HTTP status of each error, and the answer to the client.

The body is Docker's, `{"message": …}`.  A `StartError` adds under `labkit`: the exit code that
`docker run` would have, the step of the plan that failed, and all steps as they were executed.
"""

from labkit.errors import (
    LabkitError,
    StartError,
)
from labkit.http.errors import ProtocolError
from labkit.http.responses import Response, json_response

COMMAND_CANNOT_RUN = (126, 127)
"""The exit codes of a command that cannot be invoked or does not exist: the client's mistake."""


GO_WORDS = ("No such file or directory", "Permission denied", "Is a directory")
"""Go's syscall package writes these in lower case: `docker run` finds its exit code, 126 or 127,
by these words in the message, and the case matters."""


class UnsupportedError(LabkitError):
    """Docker's API has this, but labkit does not support it.  The message names it."""

    http_status = 501


class UnavailableError(LabkitError):
    """Docker's API has this, but it does not exist here: a swarm."""

    http_status = 503


def status_of(error: Exception) -> int:
    """The HTTP status for an error; 500 for a defect of labkit or a failure of the machine."""
    if isinstance(error, ProtocolError):
        return error.status
    if isinstance(error, StartError):
        return 400 if error.exit_code in COMMAND_CANNOT_RUN else 500
    return error.http_status if isinstance(error, LabkitError) else LabkitError.http_status


def error_message(error: Exception) -> str:
    """The message for the client."""
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
