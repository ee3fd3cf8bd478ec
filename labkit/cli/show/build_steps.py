"""A build on a terminal: a line for each step, and the output of the running one below."""

import re
import sys
import time

from labkit.cli.base import terminal
from labkit.cli.show.build_progress import Plain

OUTPUT_LINES = 6
"""How many lines of a running step's output are shown, the latest."""
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_BOOKKEEPING = re.compile(r" ---> (?:Running in )?[0-9a-f]*|Removing intermediate container .*|")
_RESULT = re.compile(r"Successfully (?:built|tagged) .*|\[Warning\].*|# Executing .*")
CACHED = " ---> Using cache"
NOTE = " ---> Cache "
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Steps(Plain):
    """A line for each step: its number, its instruction, its duration or that it was cached.

    The last lines of output of the running step are below it.
    """

    def __init__(self) -> None:
        self._width = terminal.width()
        self._colours = terminal.has_colours(1)
        self._unfinished = ""
        self._step: tuple[int, int, str] | None = None
        self._started = 0.0
        self._is_cached = False
        self._notes: list[str] = []
        self._output: list[str] = []
        self._drawn = 0
        self._results: list[str] = []

    def text(self, text: str) -> None:
        """Take a piece of the stream."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._line(line.rsplit("\r", 1)[-1])

    def tick(self) -> None:
        """Draw the running step again."""
        if self._step is None:
            return
        self._erase()
        shown = self._output[-OUTPUT_LINES:]
        lines = [self._headline(), *(self._dim(f"      {line}") for line in shown)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)

    def close(self, *, failed: bool) -> None:
        """End the view; the whole output of a failed step is shown."""
        output = self._output
        self._finish_step(failed=failed)
        if failed:
            sys.stdout.write("".join(f"      {line}\n" for line in output))
        sys.stdout.write("".join(f"{line}\n" for line in self._results))
        sys.stdout.flush()

    def _line(self, line: str) -> None:
        found = _STEP.fullmatch(line)
        if found:
            self._finish_step()
            self._step = (int(found[1]), int(found[2]), found[3])
            self._started = time.monotonic()
        elif line == CACHED:
            self._is_cached = True
        elif line.startswith(NOTE):
            self._notes.append(line.removeprefix(NOTE))
        elif _RESULT.fullmatch(line):
            self._results.append(line)
        elif not _BOOKKEEPING.fullmatch(line):
            self._output.append(ANSI.sub("", line).expandtabs(4))

    def _finish_step(self, *, failed: bool = False) -> None:
        if self._step is None:
            return
        self._erase()
        lines = [self._headline(done=not failed, failed=failed)]
        lines += [self._dim(f"      cache {note}", is_cut=False) for note in self._notes]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        self._step, self._is_cached, self._notes, self._output = None, False, [], []

    def _headline(self, *, done: bool = False, failed: bool = False) -> str:
        number, total, what = self._step or (0, 0, "")
        seconds = time.monotonic() - self._started
        label = "cached" if self._is_cached else f"{seconds:.1f}s"
        mark = "x" if failed else "+" if done else ">"
        left = f"{mark} [{number:>{len(str(total))}}/{total}] "
        room = max(self._width - len(left) - len(label) - 2, 10)
        text = what if columns(what) <= room else f"{cut(what, room - 1)}…"
        text += " " * (room - columns(text))
        colour = "31" if failed else "36" if self._is_cached else "32" if done else "1"
        return f"{self._coloured(left, colour)}{text} {self._coloured(label, '2')}"

    def _dim(self, text: str, *, is_cut: bool = True) -> str:
        return self._coloured(cut(text, self._width - 1) if is_cut else text, "2")

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


def columns(text: str) -> int:
    """Return the width of a text: East Asian characters take two columns, accents none."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 seldom needed

    taken = {"W": 2, "F": 2}
    return sum(
        0 if unicodedata.combining(char) else taken.get(unicodedata.east_asian_width(char), 1)
        for char in text
    )


def cut(text: str, width: int) -> str:
    """Return the longest beginning of a text that fits so many columns."""
    end = min(len(text), width)
    while columns(text[:end]) > width:
        end -= 1
    return text[:end]
