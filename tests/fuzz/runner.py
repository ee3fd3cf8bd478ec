"""What all fuzzers share: cases from a seed, and what counts as a finding."""

import itertools
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

CASE_TIMEOUT_S = 20.0
GROWTH_MAX_BYTES = 64 << 20
WARM_UP_CASES = 100
"""After so many the memory of what is attacked is taken as its ordinary size."""


def resident_bytes(pid: int | str) -> int:
    """What a process holds in memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class FindingError(Exception):
    """The input did what no input may do; the words say what."""


class Target(Protocol):
    """What is attacked."""

    def attack(self, random: Random) -> str:
        """Make up one input, put it in and judge the answer: FindingError.

        Returns the kind of answer, in a word or two.  Waits no longer than `CASE_TIMEOUT_S`.
        """

    def memory_bytes(self) -> int:
        """The memory of the process that must not grow."""


@dataclass
class Result:
    """What a run has seen."""

    cases: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    growth_bytes: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        answers = ", ".join(f"{kind}: {count}" for kind, count in sorted(self.answers.items()))
        return (
            f"{self.cases} cases in {self.seconds / 60:.1f} min, the slowest {self.slowest_s:.1f} "
            f"s, growth {self.growth_bytes / (1 << 20):.1f} MiB, {len(self.findings)} findings\n"
            f"answers: {answers}"
        )


def run(
    target: Target, seed: int, *, first: int = 0, cases: int | None = None, minutes: float = 0.0
) -> Result:
    """Attack with the cases of a seed, so many of them or for so long."""
    result = Result()
    began = time.monotonic()
    ordinary_bytes = 0
    for number in itertools.count(first):
        if result.cases == cases or (cases is None and time.monotonic() - began > 60 * minutes):
            break
        started = time.monotonic()
        try:
            answer = target.attack(Random(f"{seed} {number}"))
            result.answers[answer] = result.answers.get(answer, 0) + 1
        except FindingError as finding:
            result.findings.append(f"case {number} of seed {seed}: {finding}")
            sys.stderr.write(f"{result.findings[-1]}\n")
        took_s = time.monotonic() - started
        if took_s > CASE_TIMEOUT_S:
            result.findings.append(f"case {number} of seed {seed} took {took_s:.0f} s")
        result.slowest_s = max(result.slowest_s, took_s)
        result.cases += 1
        if result.cases <= WARM_UP_CASES:
            ordinary_bytes = max(ordinary_bytes, target.memory_bytes())
    result.growth_bytes = max(0, target.memory_bytes() - ordinary_bytes)
    if result.growth_bytes > GROWTH_MAX_BYTES:
        result.findings.append(f"it grew by {result.growth_bytes >> 20} MiB")
    result.seconds = time.monotonic() - began
    return result
