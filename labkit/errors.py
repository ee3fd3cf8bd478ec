"""Every error that labkit raises on purpose, in one small tree.

A message says what was asked, what went wrong, why, and what to do.  Each class says its HTTP
status, which the daemon answers (`labkit.daemon.errors`) and the client translates back
(`labkit.client.api`); `labkit.cli.base.errors` has the exit codes.  A failed system call stays an
`OSError` with its errno, until a layer knows what the user was doing and can say so.
"""

NO_SPACE = (
    "the disk is full: remove containers, images or volumes (`labkit system prune`), then try again"
)
"""The message for ENOSPC, with the remedy."""


class LabkitError(Exception):
    """The root of the tree: anything that labkit refuses or fails to do."""

    http_status = 500


class InvalidParameterError(LabkitError):
    """The request is invalid in itself: a bad name, a limit out of range."""

    http_status = 400


class NotFoundError(LabkitError):
    """The container, image or path does not exist."""

    http_status = 404


class ConflictError(LabkitError):
    """Not possible in the present state: a name in use, a running container."""

    http_status = 409


class ForbiddenError(LabkitError):
    """Never possible in this place: writing to a read-only mount."""

    http_status = 403


class NotModifiedError(LabkitError):
    """The container is already in the requested state."""

    http_status = 304


class StartError(LabkitError):
    """A container could not be started; `exit_code` is the exit code of `docker run` for it.

    125: the engine failed; 126: the command cannot be invoked; 127: the command was not found.
    `step` names the failed operation of the plan, if any, and `steps` are all of them in the form
    of `--explain` (labkit.runtime.explain): a container that is removed when its start fails cannot
    be asked for them afterwards.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int = 125,
        step: str = "",
        steps: "list[dict[str, object]] | None" = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.step = step
        self.steps = steps or []


class DaemonUnavailableError(LabkitError):
    """No labkitd answers on the socket, and none could be started."""


class UnauthorizedError(LabkitError):
    """A registry does not know this user, or the password is wrong."""

    http_status = 401
