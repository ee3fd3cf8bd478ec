"""The life of a container as one table: in this state, this event leads to that state.

The engine changes a container's state only through `after`; the course draws `TRANSITIONS`, and
`labkit` prints it.  The states are Docker's words.  The commands map to these events: `run` is
create and start, `stop` and `kill` make the container die, `restart` is stop and start.  The
restart policy decides whether a container that died starts again.
"""

from typing import NamedTuple

from labkit.errors import ConflictError

STATES = ("created", "running", "paused", "restarting", "exited", "removing", "dead")

RUNNING = "running"
PAUSED = "paused"
ALIVE = (RUNNING, PAUSED)
"""The states in which the first process exists."""

DEAD = "dead"
"""The state after a removal that failed."""

NONE = ""
"""The state before create and after remove: no container exists."""


class Transition(NamedTuple):
    """One arrow of the state machine."""

    before: str
    event: str
    after: str
    meaning: str


TRANSITIONS = (
    Transition(NONE, "create", "created", "its record and writable layer are there, no process"),
    Transition("created", "start", "running", "its first process is started"),
    Transition("exited", "start", "running", "started again, with what it has written"),
    Transition("running", "fail", "created", "a step of the start failed: no process came to be"),
    Transition("running", "fail again", "exited", "the same, of one that had run before"),
    Transition("running", "pause", "paused", "frozen: it keeps its memory and gets no CPU time"),
    Transition("paused", "unpause", "running", "thawed: it goes on where it was"),
    Transition("running", "die", "exited", "its first process ended: by itself, stop, kill or OOM"),
    Transition("paused", "die", "exited", "killed while it was frozen"),
    Transition("exited", "retry", "restarting", "its restart policy lets it wait and try again"),
    Transition("restarting", "start", "running", "the wait is over, or its user did not wait"),
    Transition("restarting", "stop", "exited", "its user stopped it while it waited"),
    Transition("created", "remove", "removing", "its record and writable layer go"),
    Transition("exited", "remove", "removing", "its record and writable layer go"),
    Transition("restarting", "remove", "removing", "its record and writable layer go"),
    Transition("dead", "remove", "removing", "one more try"),
    Transition("removing", "get stuck", "dead", "it could not be removed; it cannot run either"),
    Transition("removing", "destroy", NONE, "nothing of it is left"),
)

_AFTER = {(row.before, row.event): row.after for row in TRANSITIONS}


def after(status: str, event: str) -> str:
    """The state that follows; ConflictError if the table has no such arrow."""
    try:
        return _AFTER[status, event]
    except KeyError:
        raise ConflictError(
            f"a container that is {status or 'not there'} cannot {event}: "
            f"it can {_words(events(status))}"
        ) from None


def events(status: str) -> list[str]:
    """The events that are possible in this state."""
    return [row.event for row in TRANSITIONS if row.before == status]


def _words(words: list[str]) -> str:
    return " or ".join(words) or "do nothing more"
