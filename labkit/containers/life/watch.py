"""Waiting for a container: armed at once, awaited afterwards, as often and as long as one likes."""

from labkit.containers.records.entry import Entry
from labkit.containers.records.model import State
from labkit.errors import InvalidParameterError

CONDITIONS = ("not-running", "next-exit", "removed")


class Watch:
    """What happens to a container from the making of this object on.

    `not-running` holds at once for a container that does not run; `next-exit` waits for the end of
    the present or the next run; `removed` for the container to be gone.  Nothing is registered
    anywhere, so a watch that nobody waits for any more is simply dropped.
    """

    def __init__(self, entry: Entry, condition: str = "not-running") -> None:
        if condition not in CONDITIONS:
            raise InvalidParameterError(
                f'invalid condition: "{condition}"; it is one of {", ".join(CONDITIONS)}'
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
        return self._condition != "removed" and entry.exits > self._exits

    def wait(self, timeout_s: float | None = None) -> State:
        """Block until the condition holds; the state at that end.  TimeoutError.

        After a time-out one may wait again: what happened in between is not lost.
        """
        entry = self._entry
        with entry.changed:
            if not entry.changed.wait_for(self._holds, timeout_s):
                raise TimeoutError(
                    f"container {entry.container.name} did not reach {self._condition} "
                    f"in {timeout_s} s"
                )
            # A restart may have come between the end and now: its state is not what one waits for.
            ended = entry.exits > self._exits
            return entry.end if ended and entry.end else entry.container.state
