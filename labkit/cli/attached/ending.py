"""The end of an attached container: its exit code, whatever happens to the daemon."""

import contextlib
import json
import os
import time

from labkit.cli.base.command import Context
from labkit.client.api import Api, container_path
from labkit.errors import DaemonUnavailableError, LabkitError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.client.http import Response

RETRY_S = 0.25
MOST_ATTEMPTS = 60


class Ending:
    """A `wait` request in progress; it is sent again if its daemon ends.

    A labkitd that crashed (its socket exists, but no process listens) is restarted at once.  One
    that was stopped is left alone until the container has ended and `exit_code` is needed.
    """

    def __init__(self, context: Context, api: Api, container_id: str, *, removal: bool) -> None:
        """Send the request now, before the start.  With `removal` the end is the removal."""
        self._context = context
        self._path = f"{container_path(container_id)}/wait"
        self._removal = removal
        self._exit_code: int | None = None
        self._failure = ""
        self._response: Response | None = None
        self._ask(api, "next-exit")

    def _ask(self, api: Api, condition: str) -> None:
        if self._removal:
            condition = "removed"
        try:
            self._response = api.stream("POST", self._path, condition=condition)
        except NotFoundError as error:
            raise LabkitError(
                "the container has ended and was removed while labkitd was down: "
                "its exit code is lost"
            ) from error

    @property
    def fileno(self) -> int:
        """The descriptor to poll for the answer; -1 without a request."""
        return self._response.fileno() if self._response and self._exit_code is None else -1

    @property
    def is_lost(self) -> bool:
        """Whether the daemon of the request has ended, and no other has a request yet."""
        return self._response is None

    def hear(self) -> None:
        """Read the answer that has arrived, or notice that the daemon has ended."""
        if self._response is None:
            return
        try:
            answer = json.loads(self._response.read())
        except (DaemonUnavailableError, ValueError):
            self._response.close()
            self._response = None
            return
        self._exit_code = answer["StatusCode"]
        self._failure = (answer.get("Error") or {}).get("Message", "")

    def ask_again(self, *, needed: bool = False) -> None:
        """Send the request to the present daemon; if that fails, `is_lost` stays true.

        If none runs, root starts one if it crashed or if the answer is needed now.
        DaemonUnavailableError if the answer is needed and no daemon runs.
        """
        try:
            self._ask(Api(self._context.paths.socket), "not-running")
            return
        except DaemonUnavailableError as error:
            crashed = isinstance(error.__cause__, ConnectionRefusedError)
        if not needed and not (crashed and os.geteuid() == 0):
            return
        try:
            api = self._context.api()
        except DaemonUnavailableError:
            if needed:
                raise
            return
        with contextlib.suppress(DaemonUnavailableError):
            self._ask(api, "not-running")

    def exit_code(self) -> int:
        """Wait for the end, and for a daemon that knows it; return the container's exit code.

        LabkitError if the engine cannot wait, or no longer knows the container.
        """
        attempts = 0
        while self._exit_code is None:
            if self._response is not None:
                attempts = 0
                self.hear()
                continue
            attempts += 1
            try:
                self.ask_again(needed=True)
            except DaemonUnavailableError:
                # Root has tried to start one; for other users systemd may be about to.
                if os.geteuid() == 0 or attempts > MOST_ATTEMPTS:
                    raise
            if self._response is None:
                time.sleep(RETRY_S)
        if self._failure:
            raise LabkitError(self._failure)
        return self._exit_code

    def close(self) -> None:
        """Stop waiting."""
        if self._response is not None:
            self._response.close()
