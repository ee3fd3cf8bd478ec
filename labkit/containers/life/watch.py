"""Waiting for a container: a watch begins at once, and can be waited for later and repeatedly."""

from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import State
from labkit.errors import InvalidParameterError

CONDITIONS = ("not-running", "next-exit", "removed")


class Watch:
    """The events of a container since this object was made.

    `not-running` holds at once for a container that does not run; `next-exit` waits for the end of
    the present or the next run; `removed` until the container is removed, or until its removal has
    failed.  Nothing is registered anywhere, so a watch that is no longer needed is simply dropped.
    """

    def __init__(self, entry: Entry, condition: str = "not-running") -> None:
        if condition not in CONDITIONS:
            raise InvalidParameterError(
                f'invalid condition: "{condition}": it must be one of {", ".join(CONDITIONS)}'
            )
        self._entry = entry
        self._condition = condition
        with entry.lock:
            self._exits = entry.exits
            self._is_over = condition == "not-running" and not entry.is_running

    def _holds(self) -> bool:
        entry = self._entry
        if entry.removed or self._is_over:
            return True
        if self._condition == "removed":
            return entry.container.state.status == states.DEAD
        return entry.exits > self._exits

    @property
    def has_failed(self) -> bool:
        """Whether this waits for a removal that has failed."""
        return self._condition == "removed" and not self._entry.removed and self._holds()

    def wait(self, timeout_s: float | None = None) -> State:
        """Block until the condition holds; returns the state at that end.  TimeoutError.

        A caller may wait again after a time-out: an end in between is not lost.
        """
        entry = self._entry
        with entry.changed:
            if not entry.changed.wait_for(self._holds, timeout_s):
                raise TimeoutError(
                    f"container {entry.container.name} did not reach {self._condition} "
                    f"in {timeout_s} s"
                )
            # If a restart came after the end, the present state is not the one of the end.
            ended = entry.exits > self._exits
            return entry.end if ended and entry.end else entry.container.state
