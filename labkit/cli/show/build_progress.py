"""What a build shows while it goes on: its stream as it comes, or nothing unless it fails.

On a terminal it is a line for each step: `labkit.cli.show.build_steps`.
"""

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
