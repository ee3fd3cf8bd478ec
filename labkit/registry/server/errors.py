"""The registry's errors: the specification's codes, their HTTP statuses, their common body.

distribution-spec "Error Codes"; the last three are the distribution project's own.
"""

import errno
from collections.abc import Sequence

import msgspec

from labkit.errors import InvalidParameterError, LabkitError
from labkit.http.errors import ProtocolError
from labkit.http.responses import JSON, Response

STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
    "TAG_INVALID": 400,
    "PAGINATION_NUMBER_INVALID": 400,
    "UNKNOWN": 500,
}


class RegistryError(LabkitError):
    """One of the specification's codes, and the details for a client.

    `status` replaces the code's own if the specification requires it, `headers` are added to the
    head of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        detail: object = None,
        *,
        status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail
        self.status = status or STATUS[code]
        self.headers = tuple(headers)

    def entry(self) -> dict[str, object]:
        """Return the error as one element of the body's list."""
        shown: dict[str, object] = {"code": self.code, "message": str(self)}
        return shown if self.detail is None else {**shown, "detail": self.detail}


class ManyError(LabkitError):
    """Several faults of one request; all of them have the first one's status."""

    def __init__(self, errors: Sequence[RegistryError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors


def error_response(error: Exception) -> Response:
    """Return the answer to a request that failed with `error`."""
    errors = error.errors if isinstance(error, ManyError) else [as_registry_error(error)]
    document: dict[str, object] = {"errors": [one.entry() for one in errors]}
    if errors[0].code == "UNAUTHORIZED":
        # dockerd 26 recognises a wrong password by this field alone, which Docker Hub sends.
        # Without it `docker login` tries plain HTTP next, and reports the failure of that.
        document["details"] = str(errors[0])
    return Response(
        errors[0].status, msgspec.json.encode(document) + b"\n", JSON, errors[0].headers
    )


def as_registry_error(error: Exception) -> RegistryError:
    """Return any error of a request as one with a code."""
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, ProtocolError):
        return RegistryError("UNSUPPORTED", str(error), status=error.status)
    if isinstance(error, InvalidParameterError):
        return RegistryError("UNSUPPORTED", str(error), status=400)
    return RegistryError("UNKNOWN", str(error))


def disk_error(error: OSError) -> RegistryError:
    """Return the client's error for a registry whose disk is full."""
    status = 507 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 500
    return RegistryError(
        "UNKNOWN", f"the registry cannot write to its disk: {error.strerror}", status=status
    )
