"""Tables as Docker prints them: columns at least ten wide, with three spaces between."""

from labkit.cli.base.plain import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM_WIDTH = 10
PADDING = 3
SHORT_ID = 12


def table(headings: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> str:
    """Return the headings and the rows, each ended by a newline."""
    lines = [[cell(each) for each in line] for line in (headings, *rows)]
    last = len(headings) - 1
    widths = [
        max(MINIMUM_WIDTH, *(len(line[column]) + PADDING for line in lines))
        for column in range(last)
    ]
    widths.append(0)
    return "".join("".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def short_id(identifier: str, full: bool = False) -> str:
    """Return the first twelve digits of an id, without `sha256:`; if `full`, all of it."""
    return identifier if full else identifier.removeprefix("sha256:")[:SHORT_ID]


def shortened(text: str, columns: int) -> str:
    """Return at most so many columns, with `…` for the rest."""
    return text if len(text) <= columns else text[: columns - 1] + "…"
