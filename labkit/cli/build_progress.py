"""What a build shows while it goes on: its stream as it comes, or a line for each step."""

import os
import sys


class Plain:
    """The stream's text, as Docker's classic builder shows it."""

    def text(self, text: str) -> None:
        """A piece of the stream."""
        sys.stdout.write(text)

    def tick(self) -> None:
        """Time has passed, or what has come so far was given: show it."""
        sys.stdout.flush()

    def close(self, *, failed: bool) -> None:
        """The build has ended."""
        sys.stdout.flush()


class Quiet(Plain):
    """Nothing of the stream, unless the build fails: then all of it, as an error."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def text(self, text: str) -> None:
        """A piece of the stream."""
        self._said.append(text)

    def close(self, *, failed: bool) -> None:
        """The build has ended."""
        if failed:
            sys.stderr.write("".join(self._said))


def chosen(name: str) -> Plain:
    """How to show a build; `auto` is steps on a terminal, and plain text elsewhere."""
    if name == "auto":
        is_dumb = os.environ.get("TERM") == "dumb"
        name = "tty" if sys.stdout.isatty() and not is_dumb else "plain"
    return _SHOWN[name]()


def _steps() -> Plain:
    from labkit.cli.build_steps import Steps  # noqa: PLC0415 it compiles patterns, for terminals

    return Steps()


_SHOWN = {"plain": Plain, "tty": _steps, "quiet": Quiet}
