"""A small table that is readable as text, as HTML, and by a screen reader.

Every figure has its data as such a table, so that a reader who cannot see the picture knows the
measured values.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """Headings (with a unit in brackets, if there is one) and rows of cells, all as text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numeric: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        columns = range(len(self.headings))
        numeric = {at for at in columns if self.rows and all(_is_number(r[at]) for r in self.rows)}
        object.__setattr__(self, "numeric", frozenset(numeric))

    def column(self, heading: str) -> tuple[str, ...]:
        """The cells below a heading."""
        at = self.headings.index(heading)
        return tuple(row[at] for row in self.rows)

    def __str__(self) -> str:
        return "\n".join(([self.caption, ""] if self.caption else []) + list(self._lines()))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        head = self._html_row("th", self.headings)
        body = "".join(self._html_row("td", row) for row in self.rows)
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>"

    def _html_row(self, tag: str, cells: Sequence[str]) -> str:
        sides = ("right" if at in self.numeric else "left" for at in range(len(cells)))
        return (
            "<tr>"
            + "".join(_html_cell(tag, side, cell) for cell, side in zip(cells, sides, strict=True))
            + "</tr>"
        )

    def _lines(self) -> Iterator[str]:
        every = (self.headings, *self.rows)
        widths = [max(len(row[at]) for row in every) for at in range(len(self.headings))]
        for number, row in enumerate(every):
            yield "  ".join(
                cell.rjust(width) if at in self.numeric else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            if number == 0:
                yield "  ".join("-" * width for width in widths)


def _html_cell(tag: str, side: str, cell: str) -> str:
    """A cell; an empty heading names nothing, so a screen reader must not take it for one."""
    tag = tag if cell else "td"
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="text-align:{side}">{html.escape(cell)}</{tag}>'


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, perhaps with a sign, a unit sign or `: 1` after it."""
    text = cell.removesuffix(" : 1").removesuffix("%").strip().replace(",", "").replace("−", "-")
    try:
        float(text)
    except ValueError:
        return text == "–"
    return True
