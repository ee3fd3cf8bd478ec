"""Docker's answers beside a speaker's: what differs, and whether that is listed."""

import difflib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tests.matrix.conversation import Answers
from tests.matrix.differences import DIFFERENCES, Difference

RECORDED = Path(__file__).parent / "recorded.json"


def record(version: str, answers: Answers) -> None:
    """Write down what a dockerd of this version answered."""
    text = json.dumps({"dockerd": version, "answers": answers}, indent=1, ensure_ascii=False)
    RECORDED.write_text(f"{text}\n")


def recorded() -> tuple[str, Answers]:
    """What was written down: dockerd's version, and its answers."""
    found = json.loads(RECORDED.read_text())
    return found["dockerd"], found["answers"]


def differences(
    speaker: str, key: str, docker: list[str] | None, answer: list[str] | None
) -> Iterator[tuple[str, Difference | None]]:
    """The lines that only one of the two has, `-` Docker's and `+` ours, each with its entry."""
    if answer is None or docker is None:
        return
    ours = answer
    if speaker == "docker-py":
        # It tells success from failure, and no more.
        docker, ours = ([_outcome(line) for line in lines] for lines in (docker, answer))
    for line in difflib.ndiff(docker, ours):
        if line.startswith(("- ", "+ ")):
            short = line[0] + line[2:]
            yield (
                short,
                next((each for each in DIFFERENCES if _fits(each, speaker, key, short)), None),
            )


def _outcome(line: str) -> str:
    return "exit 1" if line.startswith("exit ") and line != "exit 0" else line


def _fits(entry: Difference, speaker: str, key: str, line: str) -> bool:
    return (
        fnmatchcase(speaker, entry.speaker)
        and fnmatchcase(key, entry.case)
        and fnmatchcase(line, entry.line)
    )
