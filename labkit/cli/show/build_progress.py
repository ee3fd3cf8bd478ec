"""The progress of a build: its stream as it arrives, or nothing unless it fails.

On a terminal it is a line for each step: `labkit.cli.show.build_steps`.
"""

import sys


class Plain:
    """Shows the stream's text, as Docker's classic builder does."""

    def text(self, text: str) -> None:
        """Take a piece of the stream."""
        sys.stdout.write(text)

    def tick(self) -> None:
        """Show what is new; called after each piece, and regularly."""
        sys.stdout.flush()

    def close(self, *, failed: bool) -> None:
        """End the view with the build."""
        sys.stdout.flush()


class Quiet(Plain):
    """Shows nothing of the stream unless the build fails: then all of it, as an error."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def text(self, text: str) -> None:
        """Take a piece of the stream."""
        self._said.append(text)

    def close(self, *, failed: bool) -> None:
        """End the view with the build."""
        if failed:
            sys.stderr.write("".join(self._said))
