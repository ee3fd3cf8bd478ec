"""The result of a check, and its input."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from labkit.cgroups import Layout
from labkit.paths import Paths

OK = "ok"
LIMITED = "limited"
MISSING = "missing"
UNKNOWN = "unknown"
"""It could not be checked, mostly because that needs root."""


class Finding(NamedTuple):
    """One line of `labkit doctor`."""

    name: str
    state: str
    """`ok`, `limited`, `missing` or `unknown`."""
    detail: str
    """The result, in a few words."""
    remedy: str = ""
    """How to change it; "" if there is nothing to do."""
    required: bool = False
    """Whether no container can run without it."""
    section: str = ""
    """The heading above it."""


class Situation(NamedTuple):
    """The input of all checks, gathered once."""

    paths: Paths
    is_root: bool
    layout: Layout
    trials: Mapping[str, str]
    """Result of each of `trials.TRIALS`: "" if it worked, else the error."""
    untried: str = ""
    """The reason if there are no trials."""


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
    """The finding for a trial; `good` describes the state if the trial worked."""
    result = situation.trials.get(trial)
    if result is None:
        return Finding(name, UNKNOWN, f"not tried: {situation.untried}", required=required)
    if result:
        return Finding(name, MISSING, result, remedy, required)
    return Finding(name, OK, good, required=required)


def install(*packages: str) -> str:
    """The command that installs Debian packages."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}"
