"""Demo 09: two containers on one CPU, and a slider for the weight of each."""

from labkit.course.demos.canvas import NAVY, QUIET, Canvas
from labkit.course.demos.controls import Slide
from labkit.course.demos.demo import Demo
from labkit.course.figures import style
from labkit.course.limits.shares_panel import SharesPanel

SHOWN_S = 20.0
LEFT, RIGHT, TOP, BOTTOM = 80.0, 660.0, 20.0, 400.0
LEAST_DISTANCE = 30.0


class SharesDemo(Demo):
    """Each container's part of one CPU, live, and the file that decides it."""

    number = "09"
    title = "Two containers, one CPU"
    say = "Each slider writes one number into one file of a running container."
    surprise = "Only the proportion counts: 2048 to 1024 is the same as 1024 to 512."
    controls = (
        Slide("first", "docker run -c … (container 1)", 64, 2048, 64, 1024),
        Slide("second", "docker run -c … (container 2)", 64, 2048, 64, 512),
    )
    every_s = 0.5

    def begin(self) -> None:
        """Start both; they never stop to want the CPU."""
        self._panel = SharesPanel((1024, 512), lifetime_s=3600, client=self.client)
        self.keep(self._panel.close)

    def act(self, key: str) -> None:
        """Write the new weight."""
        self._panel.set_shares(int(key == "second"), int(self.values[key]))

    def draw(self) -> Canvas:
        """The curves of the last seconds; dashed is what the shares ask for."""
        moments = self._panel.moments
        now_s = moments[-1].time_s if moments else 0.0
        shown = [one for one in moments if one.time_s >= now_s - SHOWN_S]
        parts = shown[-1].parts if shown else (0.0, 0.0)
        canvas = Canvas(
            "The part of one CPU that each of two containers gets: "
            + "; ".join(f"container {at + 1} {part:.0%}" for at, part in enumerate(parts))
        )
        for percent in (0, 25, 50, 75, 100):
            y = _y(percent / 100)
            canvas.line((LEFT, y), (RIGHT, y), ink=style.GRID)
            canvas.words((LEFT - 8, y + 7), f"{percent}%", anchor="end", ink=QUIET)
        canvas.words((LEFT, BOTTOM + 30), f"{SHOWN_S:.0f} s ago", ink=QUIET)
        canvas.words((RIGHT, BOTTOM + 30), "now", anchor="end", ink=QUIET)
        expected = self._expected()
        heights = style.spread([_y(part) for part in parts], LEAST_DISTANCE)
        for at, part in enumerate(parts):
            y = _y(expected[at])
            canvas.line((LEFT, y), (RIGHT, y), dashed=True)
            points = [(_x(one.time_s, now_s), _y(one.parts[at])) for one in shown]
            canvas.curve(points, ink=style.colour(at))
            ink = style.readable(at)
            canvas.words((RIGHT + 12, heights[at] + 7), f"{at + 1}: {part:.0%}", ink=ink, bold=True)
            canvas.words((10, BOTTOM + 68 + 34 * at), self._file(at), ink=ink, code=True, width=880)
        canvas.words((RIGHT + 12, TOP + 8), "dashed: asked", ink=QUIET)
        canvas.words((RIGHT + 12, BOTTOM + 30), f"all on CPU {self._panel.cpu}", ink=NAVY)
        return canvas

    def _expected(self) -> tuple[float, ...]:
        whole = sum(self._panel.shares)
        return tuple(shares / whole for shares in self._panel.shares)

    def _file(self, at: int) -> str:
        """The command that a slider is."""
        files, shares = self._panel.files[at], self._panel.shares[at]
        *_, folder, name = files.weight.split("/")
        return f"echo {files.weight_for(shares)} > …/{folder[:12]}…/{name}"


def _x(time_s: float, now_s: float) -> float:
    return RIGHT - (now_s - time_s) / SHOWN_S * (RIGHT - LEFT)


def _y(part: float) -> float:
    return BOTTOM - part * (BOTTOM - TOP)
