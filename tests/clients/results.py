"""What a run of pytest said, and how two runs differ."""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

Results = Mapping[str, str]
"""Name of a test: passed, failed, error or skipped."""


def read(path: Path) -> dict[str, str]:
    """Read a file of `pytest --junit-xml`."""
    results = {}
    for case in ElementTree.parse(path).iter("testcase"):
        marks = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcome = {"failure": "failed", "": "passed"}.get(marks[0] if marks else "", *marks[:1])
        results[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return results


def counts(results: Results) -> str:
    """Return the counts in one line."""
    return ", ".join(f"{number} {name}" for name, number in Counter(results.values()).most_common())


def missed(peer: Results, labkit: Results) -> list[str]:
    """Return the tests that pass with the peer and not with labkit."""
    return sorted(
        name
        for name, outcome in peer.items()
        if outcome == "passed" and labkit.get(name) != "passed"
    )
