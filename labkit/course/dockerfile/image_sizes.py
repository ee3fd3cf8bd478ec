"""The sizes of images: a bar for each, in the order given."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.dialect.sizes import human_size

TICKS = {"1 B": 1, "100 B": 100, "10 kB": 1e4, "1 MB": 1e6, "100 MB": 1e8}


@dataclass(frozen=True)
class ImageSizes:
    """For each image a description and its size in bytes."""

    rows: tuple[tuple[str, int], ...]

    def bytes_of(self, name: str) -> int:
        """The size of the image with this description."""
        return dict(self.rows)[name]

    def table(self) -> Table:
        """A row for each image, with its part of the largest."""
        largest = max(size for _, size in self.rows)
        return Table(
            ("image", "size", "part of the largest"),
            tuple((name, human_size(size), f"{size / largest:.2%}") for name, size in self.rows),
        )

    def plot(self) -> Figure:
        """Draw bars on a logarithmic scale, so that 200 bytes are visible beside 74 MB."""
        largest = max(size for _, size in self.rows)
        with style.picture(height_in=0.95 + 0.42 * len(self.rows)) as drawing:
            axes = drawing.subplots()
            for row, (_, size) in enumerate(self.rows):
                axes.barh(
                    row, size - 1, left=1, height=0.62, color=style.colour(0 if row == 0 else 2)
                )
                axes.annotate(
                    human_size(size),
                    (size, row),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontweight="bold",
                )
            names = [name for name, _ in self.rows]
            axes.set_yticks(range(len(names)), names, color=style.INK)
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False, axis="y")
            axes.set(xscale="log", xlim=(1, largest * 30), ylim=(len(names) - 0.4, -0.6))
            axes.set_xticks(list(TICKS.values()), list(TICKS))
            axes.minorticks_off()
            axes.set_xlabel("size of the image")
            style.headline(drawing, self._finding(), "logarithmic: each line is 100 times the last")
        each = ", ".join(f"{name}: {human_size(size)}" for name, size in self.rows)
        return Figure(drawing, alt=f"Bars of the sizes of images. {each}.", table=self.table())

    def _finding(self) -> str:
        (_, first), *_, (_, last) = self.rows
        return f"From {human_size(first)} to {human_size(last)}, and it does the same"


def image_sizes(images: Sequence[tuple[str, str]]) -> ImageSizes:
    """The sizes of images, each with a description: `("one stage", "hello:fat")`; NotFoundError."""
    found = connect().images
    return ImageSizes(tuple((name, int(found.get(tag).attrs["Size"])) for name, tag in images))
