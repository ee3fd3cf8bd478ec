"""The error of a request that is no good HTTP."""

from labkit.errors import LabkitError


class ProtocolError(LabkitError):
    """The bytes of a request break HTTP's rules or the server's limits: `status` says which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
