"""Every error labkit raises on purpose, in one small tree.

A message says what happened, to what, why, and what to do next.  Where an error leaves the engine
it is mapped in one place each: `labkit.daemon.errors` to HTTP status codes,
`labkit.cli.base.errors` to exit codes.  Failures of system calls stay what they
are, `OSError` with its errno, until a layer knows what the user was doing and can say so.
"""

NO_SPACE = (
    "the disk is full: remove containers, images or volumes (`labkit system prune`), then try again"
)
"""What a user does about ENOSPC."""


class LabkitError(Exception):
    """The root of the tree: anything labkit refuses or fails to do."""


class InvalidParameterError(LabkitError):
    """The request makes no sense as it stands: a bad name, a limit out of range (400)."""


class NotFoundError(LabkitError):
    """There is no such container, image or path (404)."""


class ConflictError(LabkitError):
    """Sensible, but not in the present state: a name in use, a running container (409)."""


class ForbiddenError(LabkitError):
    """Never to be done in this place: writing to what is mounted read-only (403)."""


class NotModifiedError(LabkitError):
    """The container is already in the state that was asked for (304)."""


class StartError(LabkitError):
    """A container could not be started; `exit_code` is what `docker run` would exit with.

    125: the engine failed; 126: the command cannot be invoked; 127: the command was not found.
    `step` names the operation of the plan that failed, where one did, and `steps` are all of them
    as `--explain` shows them (labkit.runtime.explain): a container that is removed when its start
    fails cannot be asked for them afterwards.
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
    """A registry does not know this user, or the password is another (401)."""
