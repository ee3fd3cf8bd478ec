"""What a check says, and what it has to go by."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from labkit.cgroups import Layout
from labkit.paths import Paths

OK = "ok"
LIMITED = "limited"
MISSING = "missing"
UNKNOWN = "unknown"
"""Could not be looked into, mostly because that needs root."""


class Finding(NamedTuple):
    """One line of `labkit doctor`."""

    name: str
    state: str
    """`ok`, `limited`, `missing` or `unknown`."""
    detail: str
    """What was found, in a few words."""
    remedy: str = ""
    """What to do about it; "" where nothing is to be done."""
    required: bool = False
    """Whether no container runs without it."""
    section: str = ""
    """The heading it stands under."""


class Situation(NamedTuple):
    """What the checks look at, gathered once."""

    paths: Paths
    is_root: bool
    layout: Layout
    trials: Mapping[str, str]
    """Result of each of `trials.TRIALS`: "" if it worked, else what went wrong."""
    untried: str = ""
    """Why there are no trials, if so."""


Check = Callable[[Situation], Iterable[Finding]]


def tried(
    situation: Situation,
    trial: str,
    name: str,
    good: str,
    remedy: str,
    *,
    required: bool = False,
) -> Finding:
    """The finding about something that was tried: `good` says what it is when it worked."""
    result = situation.trials.get(trial)
    if result is None:
        return Finding(name, UNKNOWN, f"not tried: {situation.untried}", required=required)
    if result:
        return Finding(name, MISSING, result, remedy, required)
    return Finding(name, OK, good, required=required)


def install(*packages: str) -> str:
    """How to get Debian packages."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}"
