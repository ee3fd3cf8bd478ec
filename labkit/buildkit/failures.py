"""Errors as a build client shows them: what failed, and the lines of the Dockerfile.

A call's status carries details, each a JSON document under the name of its Go type: the client
draws the Dockerfile's lines with `>>>` before those that failed.  Source: buildkit's
`solver/errdefs` and `util/grpcerrors`.
"""

import base64

import msgspec

from labkit.build.contexts import Source
from labkit.build.errors import BuildError, CancelledError, CommandError, DockerfileError
from labkit.buildkit.messages import Any, Status
from labkit.errors import LabkitError
from labkit.rpc import wire
from labkit.rpc.errors import CANCELLED, UNKNOWN, CallError

_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"
_EXIT = "github.com/moby/buildkit/gatewayapi.ExitMessage+json"


def message(error: Exception) -> str:
    """What a client is told of an error, without the place in the Dockerfile."""
    if isinstance(error, CommandError):
        return f'process "{error.command}" did not complete successfully: exit code: {error.code}'
    if isinstance(error, BuildError | DockerfileError):
        return error.why
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def call_error(error: Exception, source: Source | None = None) -> CallError:
    """A failed build as a call's status; `source` is the Dockerfile that lines are of."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, CancelledError | ConnectionAbortedError):
        return CallError(CANCELLED, "context canceled")
    text = message(error)
    details: list[Any] = []
    if isinstance(error, BuildError | DockerfileError) and error.line and source is not None:
        details.append(_source(source, error.line, error.last_line or error.line))
        if isinstance(error, DockerfileError):
            text = f"dockerfile parse error on line {error.line}: {error.why}"
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


def is_expected(error: Exception) -> bool:
    """Whether an error is one that a build may end with, and no defect of labkit's."""
    return isinstance(error, LabkitError | OSError)
