"""Whether this machine can run containers at all, and the tests that are left out if not.

If it can, a test that is not run is a failure (`tests/skips.py`).  If no container can ever run, as
in a container without power, the others are run, and the end reports which were not and why.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from labkit import doctor
from labkit.doctor.finding import MISSING
from labkit.paths import Paths

PROJECT = Path(__file__).parent.parent


@cache
def lacking() -> tuple[str, ...]:
    """Return why no container can run here, a sentence each; nothing if one can."""
    if os.geteuid():
        return ("root: run `make test` as root",)
    place = tempfile.gettempdir()
    findings = doctor.run_for_containers(Paths(place, place))
    return tuple(f"{f.name}: {f.detail}" for f in findings if f.required and f.state == MISSING)


def summary(left_out: Iterable[Path], skipped: Iterable[str], reasons: Iterable[str]) -> list[str]:
    """Return the lines about tests that were not run, how many of each, and why.

    `left_out`: the files of the tests that start containers, one for each test; `skipped`: the
    reasons of other tests.
    """
    return [
        *_counted("tests that start real containers", map(_folder, left_out)),
        "  because this machine lacks",
        *(f"    {reason}" for reason in reasons),
        *_counted("other tests, by what they need", skipped),
    ]


def _folder(path: Path) -> str:
    return str(path.relative_to(PROJECT).parent)


def _counted(what: str, names: Iterable[str]) -> Iterator[str]:
    counts = Counter(names)
    if counts:
        yield f"{counts.total()} {what}"
        yield from (f"    {number:5d}  {name}" for name, number in sorted(counts.items()))
