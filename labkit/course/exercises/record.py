"""The record of a learner's exercises: the token, tries, points, and the notes of scenes.

The file is `exercises.json` beside the predictions (`labkit.course.page.answers`).
The token decides which values are drawn; it is part of the learner's submission.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from typing import Any

TOKEN_VARIABLE = "LABKIT_LEARNER"  # noqa: S105  the name of a variable
TASK_MEDIA_TYPE = "application/vnd.labkit.task+json"
"""The type of the part of a task's output that names the learner of its values."""
_Entry = dict[str, Any]


def path() -> str:
    """The path of the record (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{state}/labkit/exercises.json"


def token() -> str:
    """The learner's token, drawn at the first call; `LABKIT_LEARNER` overrides it."""
    if given := os.environ.get(TOKEN_VARIABLE, ""):
        return given
    kept = _read()
    if "token" not in kept:
        kept["token"] = secrets.token_hex(8)
        _write(kept)
    return str(kept["token"])


def shown_token(notebook: Mapping[str, Any]) -> str:
    """Return the token whose values a notebook's tasks have shown; "" if none was run."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            shown = output.get("data", {}).get(TASK_MEDIA_TYPE, {})
            if isinstance(shown, dict) and shown.get("learner"):
                return str(shown["learner"])
    return ""


def count_try(number: str, points: int) -> int:
    """Count a try at an exercise, and keep its points if they are the best; the number of tries."""
    kept = _read()
    entry = _entry(kept, number)
    entry["tries"] = entry.get("tries", 0) + 1
    entry["points"] = max(points, entry.get("points", 0))
    _write(kept)
    return int(entry["tries"])


def memo(number: str) -> dict[str, Any]:
    """The notes of an exercise's scene; {} if it was not laid."""
    return dict(_entry(_read(), number).get("memo", {}))


def keep_memo(number: str, noted: dict[str, Any]) -> None:
    """Keep the notes of a scene."""
    kept = _read()
    _entry(kept, number)["memo"] = noted
    _write(kept)


def points() -> dict[str, int]:
    """The best points so far, by exercise."""
    entries = _read().get("exercises", {})
    return {number: entry["points"] for number, entry in entries.items() if "points" in entry}


def _entry(kept: dict[str, Any], number: str) -> _Entry:
    entry: _Entry = kept.setdefault("exercises", {}).setdefault(number, {})
    return entry


def _read() -> dict[str, Any]:
    try:
        with open(path(), encoding="utf-8") as file:
            kept = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(kept: dict[str, Any]) -> None:
    folder = os.path.dirname(path())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(kept, file, ensure_ascii=False, indent=1)
    os.replace(file.name, path())
