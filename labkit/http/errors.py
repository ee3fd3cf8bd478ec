"""The error of a malformed HTTP request."""

from labkit.errors import LabkitError


class ProtocolError(LabkitError):
    """A request breaks HTTP's rules or the server's limits: `status` says which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
