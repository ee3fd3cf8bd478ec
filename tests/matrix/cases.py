"""Reading `cases.txt`, whose head says how it is written."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "cases.txt"
WITH_NETWORK = ("run", "create")


class Step(NamedTuple):
    """One command: its words, with the signs (`@`, `%`, …) as they are written."""

    key: str
    """The case and the line; what is said again in a case is counted."""
    line: str
    words: list[str]
    text_in: bytes | None
    background: bool
    until: str | None
    """What it must print before the case goes on; None: it is said once."""

    def spoken(self, signs: Mapping[str, str]) -> list[str]:
        """The words as they are said in one case, where the signs stand for these."""
        pattern = re.compile("|".join(map(re.escape, signs)))
        words = [pattern.sub(lambda sign: signs[sign[0]], word) for word in self.words]
        if words[0] in WITH_NETWORK and "--network" not in words:
            words[1:1] = ["--network", "none"]
        return words


class Case(NamedTuple):
    """A name, the word that makes names its own, and the steps."""

    name: str
    tag: str
    steps: list[Step]


def _step(case: Case, line: str) -> Step:
    words = shlex.split(line)
    text_in, until = None, None
    background = words[-1] == "&"
    if background:
        words.pop()
    if words[1:2] == ["|"]:
        text_in = words[0].replace("\\n", "\n").encode()
        words = words[2:]
    if "=>" in words:
        at = words.index("=>")
        until = " ".join(words[at + 1 :])
        words = words[:at]
    said = sum(step.line == line for step in case.steps)
    key = f"{case.name}: {line}" + (f" ({said + 1})" if said else "")
    return Step(key, line, words, text_in, background, until)


def read() -> list[Case]:
    """All cases, in their order."""
    cases: list[Case] = []
    for line in FILE.read_text().splitlines():
        if line.startswith("    "):
            cases[-1].steps.append(_step(cases[-1], line.strip()))
        elif line and not line.startswith("#"):
            # No hexadecimal digit at its ends: it is never taken for a part of an id.
            cases.append(Case(line.removesuffix(":"), f"q{len(cases):03}z", []))
    return cases
