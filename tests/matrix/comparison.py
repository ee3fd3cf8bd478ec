"""Docker's answers beside a speaker's: what differs, and whether that is listed."""

import difflib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tests.matrix.conversation import Answers
from tests.matrix.differences import DIFFERENCES, OLDER, Difference

RECORDED = Path(__file__).parent / "recorded.json"


def record(version: str, answers: Answers) -> None:
    """Write down what a dockerd of this version answered, beside those of other versions."""
    found = recorded() | {version: answers}
    text = json.dumps(dict(sorted(found.items())), indent=1, ensure_ascii=False)
    RECORDED.write_text(f"{text}\n")


def recorded() -> dict[str, Answers]:
    """What was written down: a dockerd's answers by its version, the oldest first."""
    found: dict[str, Answers] = json.loads(RECORDED.read_text())
    return found


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


def is_about(entry: Difference, speaker: str) -> bool:
    """Whether an entry is for this speaker: those for the older dockerd are for it alone."""
    if OLDER in (entry.speaker, speaker):
        return entry.speaker == speaker
    return fnmatchcase(speaker, entry.speaker)


def _fits(entry: Difference, speaker: str, key: str, line: str) -> bool:
    return (
        is_about(entry, speaker) and fnmatchcase(key, entry.case) and fnmatchcase(line, entry.line)
    )
