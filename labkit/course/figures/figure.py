"""A picture with its description and its numbers as a table, for readers who cannot see it.

In a notebook it is one HTML element: the picture with its alternative text, and the table folded
below it.  As plain text it is the same description and the same table.
"""

import base64
import functools
import html
import io
from collections.abc import Sequence
from typing import Any

from labkit.course.figures.table import Table


class Figure:
    """A matplotlib figure with `alt` (one or two sentences that describe it) and its `table`.

    `parts` are more tables, each with a title, which open one by one below the picture.
    """

    def __init__(
        self, drawing: Any, *, alt: str, table: Table, parts: Sequence[tuple[str, Table]] = ()
    ) -> None:
        if not alt.strip():
            raise ValueError("a figure needs alternative text: describe what a reader would see")
        self.drawing = drawing
        self.alt = alt
        self.table = table
        self.parts = parts

    @functools.cached_property
    def png(self) -> bytes:
        """The picture as PNG with few colours, so that committed notebooks stay small."""
        from PIL import Image  # noqa: PLC0415 only a shown figure needs it

        full = io.BytesIO()
        self.drawing.savefig(full, format="png", metadata={"Software": None})
        small = io.BytesIO()
        with Image.open(full) as image:
            image.convert("RGB").quantize(colors=96, dither=Image.Dither.NONE).save(
                small, format="png", optimize=True
            )
        return small.getvalue()

    def save(self, path: str) -> None:
        """Write the picture to `path` as PNG."""
        with open(path, "wb") as file:
            file.write(self.png)

    def __repr__(self) -> str:
        return f"{self.alt}\n\n{self.table}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        encoded = base64.b64encode(self.png).decode()
        tables = [("The numbers", self.table), *self.parts]
        folded = "".join(
            f"<details><summary>{html.escape(title)}</summary>{table._repr_html_()}</details>"
            for title, table in tables
        )
        width_px = round(self.drawing.get_figwidth() * 96)
        return {
            "text/plain": repr(self),
            "text/html": (
                f'<figure style="margin:0"><img alt="{html.escape(self.alt)}" '
                f'src="data:image/png;base64,{encoded}" '
                f'style="max-width:100%;width:{width_px}px;background:white">'
                f"{folded}</figure>"
            ),
        }
