"""Errors for a build client: the message, and the lines of the Dockerfile.

A call's status carries details, each a JSON document under the name of its Go type: the client
draws the Dockerfile's lines with `>>>` before those that failed.  Source: buildkit's
`solver/errdefs` and `util/grpcerrors`.
"""

import base64

import msgspec

from labkit.build.context.contexts import Source
from labkit.build.errors import (
    BuildError,
    CancelledError,
    CommandError,
    DockerfileError,
    MissingSourceError,
    TextError,
)
from labkit.buildkit.messages import Any, Status
from labkit.rpc import wire
from labkit.rpc.errors import CANCELLED, UNKNOWN, CallError

_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"
_EXIT = "github.com/moby/buildkit/gatewayapi.ExitMessage+json"


def message(error: Exception) -> str:
    """Return the message of an error for a client, without the place in the Dockerfile."""
    said = str(error)
    match error:
        case CommandError():
            command, code = error.command, error.code
            said = f'process "{command}" did not complete successfully: exit code: {code}'
        case BuildError():
            said = said.partition("\n")[0] if error.why is None else message(error.why)
        case TextError():
            said = error.why
        case DockerfileError():
            said = f"dockerfile parse error on line {error.line}: {error.why}"
        case MissingSourceError():
            said = f'failed to compute cache key: "/{error.path}": not found'
        case CancelledError() | ConnectionAbortedError():
            said = "context canceled"
        case OSError():
            said = error.strerror or said
    return said


def call_error(error: Exception, source: Source | None = None) -> CallError:
    """Return a failed build as a call's status; the lines are those of the Dockerfile `source`."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, CancelledError | ConnectionAbortedError):
        return CallError(CANCELLED, "context canceled")
    text = message(error)
    details: list[Any] = []
    if isinstance(error, BuildError | DockerfileError) and error.line and source is not None:
        details.append(_source(source, error.line, error.last_line or error.line))
    if isinstance(error, CommandError):
        details.append(_json(_EXIT, {"Code": error.code}))
    status = Status(UNKNOWN, text, details)
    return CallError(UNKNOWN, text, wire.encode(status))


def _source(source: Source, first: int, last: int) -> Any:
    ranges = [{"start": {"line": first}, "end": {"line": last}}]
    data = base64.b64encode(source.data).decode()
    info = {"filename": source.name, "data": data, "language": "Dockerfile"}
    return _json(_SOURCE, {"info": info, "ranges": ranges})


def _json(kind: str, value: object) -> Any:
    return Any(kind, msgspec.json.encode(value))
