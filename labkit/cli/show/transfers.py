"""Pull and push on a terminal: a line for each layer, updated in place.

Without a terminal: a line for each change of state, and none for the bytes in between.
"""

import sys

from labkit.cli.base.errors import UsageError
from labkit.cli.base.terminal import width
from labkit.dialect.references import canonical, is_tagged, repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

UP = "\x1b[{}A"
DOWN = "\x1b[{}B"
CLEAR_LINE = "\x1b[2K\r"


def begin(name: str, *, all_tags: bool, quiet: bool) -> None:
    """Print the tag of a name without one; UsageError for a tag beside `--all-tags`."""
    if all_tags and is_tagged(name):
        raise UsageError("tag can't be used with --all-tags/-a")
    if not all_tags and not is_tagged(name) and not quiet:
        print("Using default tag: latest")


def whole_name(name: str, *, all_tags: bool) -> str:
    """Return the name with registry and tag, or of the repository alone."""
    return repository(name) if all_tags else canonical(name)


def show(events: "Iterable[dict[str, Any]]", output: "TextIO | None" = None) -> None:
    """Show the daemon's messages as they arrive, on stdout or another file."""
    output = output or sys.stdout
    shown = _Lines(output) if output.isatty() else _Log(output)
    for event in events:
        shown.add(event)


def drain(events: "Iterable[dict[str, Any]]") -> None:
    """Read to the end, and show nothing."""
    for _ in events:
        pass


class _Log:
    """Every message that is not only a number of bytes, a line each."""

    def __init__(self, output: "TextIO") -> None:
        self._output = output

    def add(self, event: "dict[str, Any]") -> None:
        if event.get("progressDetail") or "status" not in event:
            return
        self._output.write(f"{_text(event)}\n")
        self._output.flush()


class _Lines:
    """A line for each layer; other messages go below, and end the block."""

    def __init__(self, output: "TextIO") -> None:
        self._output = output
        self._rows: dict[str, int] = {}

    def add(self, event: "dict[str, Any]") -> None:
        if "status" not in event:
            return
        identifier = event.get("id", "")
        if "progressDetail" not in event or not identifier:
            self._rows.clear()
            self._output.write(f"{_text(event)}\n")
            self._output.flush()
            return
        text = _row(event, width(self._output.fileno()) - 1)
        if identifier not in self._rows:
            self._rows[identifier] = len(self._rows)
            self._output.write(f"{text}\n")
        else:
            up = len(self._rows) - self._rows[identifier]
            self._output.write(f"{UP.format(up)}{CLEAR_LINE}{text}\r{DOWN.format(up)}")
        self._output.flush()


def _row(event: "dict[str, Any]", columns: int) -> str:
    """Return the message in one row of the screen, without the bar if it does not fit."""
    text = _text(event)
    if len(text) > columns and "] " in text:
        text = _text({**event, "progress": text.rpartition("] ")[2].strip()})
    return text[:columns]


def _text(event: "dict[str, Any]") -> str:
    """Return `7df1a35671c6: Downloading [==>   ] 1.2MB/3MB`."""
    before = f"{event['id']}: " if event.get("id") else ""
    after = f" {event['progress']}" if event.get("progress") else ""
    return f"{before}{event['status']}{after}"
