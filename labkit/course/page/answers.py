"""A learner's predictions, kept in a small file, so that they outlive the notebook's kernel.

The file is `$XDG_STATE_HOME/labkit/predictions.json` (XDG Base Directory Specification), or
`~/.local/state/labkit/predictions.json` if that is not set.  Nothing else reads it; to forget the
answers, delete it.
"""

import json
import os
import tempfile

Answer = float | str


def path() -> str:
    """The path of the file."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{state}/labkit/predictions.json"


def load(question_id: str) -> Answer | None:
    """The kept answer to a question; None if there is none."""
    return _read().get(question_id)


def keep(question_id: str, answer: Answer) -> None:
    """Keep the answer; it replaces an older one to the same question."""
    every = _read() | {question_id: answer}
    folder = os.path.dirname(path())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(every, file, ensure_ascii=False, indent=1)
    os.replace(file.name, path())


def _read() -> dict[str, Answer]:
    try:
        with open(path(), encoding="utf-8") as file:
            every = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return every if isinstance(every, dict) else {}
