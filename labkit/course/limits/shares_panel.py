"""The live panel of chapter 9: sliders that change CPU shares of *running* containers.

Moving a slider writes one number to one file, the container's weight; the kernel does the rest, and
the curves separate.  The panel measures in a separate thread, so other cells can run.

It leaves nothing behind: only one panel is open at a time (showing it again replaces the last one).
The containers are removed by `close()`, by its button, at the end of the kernel, and at the end of
the panel's lifetime, for learners who just close the tab.
"""

import html
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.client import Client
from labkit.course.figures import live_chart, style
from labkit.course.figures.live_chart import Moment
from labkit.course.figures.panel import Panel
from labkit.course.limits.cpu_files import NS_PER_S, CpuFiles, CpuMeter
from labkit.course.limits.cpu_result import expected_parts
from labkit.course.limits.cpu_run import hire_busy, pin, quietest_cpu
from labkit.course.limits.sampling import read_together, wait_until_busy
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.page.predict import WIDGET_VIEW
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

INTERVAL_S = 0.25
LIFETIME_S = 300.0

_open: list["SharesPanel"] = []


class SharesPanel(Panel):
    """Always-busy containers on one CPU, sliders for their shares, and a chart of their CPU time.

    Show it by making it the last line of a cell.  `lifetime_s` is the time until it ends itself.
    """

    def __init__(
        self,
        weights: Sequence[int] = (1024, 512),
        *,
        lifetime_s: float = LIFETIME_S,
        client: Client | None = None,
    ) -> None:
        while _open:
            _open[-1].close()
        self.shares = list(weights)
        self._moments: list[Moment] = []
        self.status = "running"
        self.cpu = quietest_cpu()
        self._crew = Crew(client or connect(), "shares-panel", lifetime_s + 30)
        self._meters: list[CpuMeter] = []
        self._thread = threading.Thread(target=self._watch, name="shares-panel", daemon=True)
        self._closing = threading.Lock()
        self._ended, self._gone = threading.Event(), threading.Event()
        _open.append(self)
        try:
            self.files = [
                CpuFiles.of_process(hire_busy(self._crew, weight, self.cpu)) for weight in weights
            ]
            pin(self.files, self.cpu)
            self._meters = [CpuMeter(files) for files in self.files]
            wait_until_busy(self._meters)
        except BaseException:
            self.close()
            raise
        self._begin_s = time.monotonic()
        self._end_s = self._begin_s + lifetime_s
        self._thread.start()

    def set_shares(self, number: int, shares: int) -> int:
        """Give container `number` (from 0) new shares, by writing its weight file.

        Returns the number written.  Raises `LabkitError` if the panel is closed.
        """
        if self._ended.is_set():
            raise LabkitError("this panel is closed; run its cell again for a new one")
        written = self.files[number].write_shares(shares)
        self.shares[number] = shares
        if self._view is not None:
            self._view.show_shares(number, shares)
        return written

    def watch(self, seconds: float) -> None:
        """Let it run for a while, for a cell that plots the curves afterwards."""
        if self._ended.wait(seconds):
            self._gone.wait()

    def plot(self) -> "Figure":
        """Draw everything measured so far, with the times at which shares were changed."""
        from labkit.course.figures.panel_plot import plot_moments  # noqa: PLC0415 matplotlib

        return plot_moments(self.moments, self.names)

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The measurements so far; the panel's thread continues to measure."""
        return tuple(self._moments)

    @property
    def names(self) -> list[str]:
        """The names of the curves: container 1, container 2, …"""
        return [f"container {number}" for number in range(1, len(self.shares) + 1)]

    def close(self, status: str = "Stopped. The containers are gone.") -> None:
        """Stop measuring and remove the containers; a second call is no error."""
        is_watching = threading.current_thread() is self._thread
        with self._closing:
            is_first = not self._ended.is_set()
            self._ended.set()
        if not is_first:
            if not is_watching:
                self._gone.wait()
            return
        if self in _open:
            _open.remove(self)
        if self._thread.is_alive() and not is_watching:
            self._thread.join()
        for meter in self._meters:
            meter.close()
        try:
            self._crew.dismiss()
        finally:
            self._gone.set()
        self.status = status
        if self._view is not None:
            self._view.show_end(status)

    def _watch(self) -> None:
        """Measure until the panel is closed, its time is over, or a container has ended."""
        try:
            self._measure()
        except LabkitError:
            self.close("A container has ended. Run the cell again for new ones.")
        else:
            self.close("Time is up: the containers are removed. Run the cell again for new ones.")

    def _measure(self) -> None:
        then = read_together(self._meters)
        while time.monotonic() < self._end_s and not self._ended.wait(INTERVAL_S):
            now = read_together(self._meters)
            used = [after - before for after, before in zip(now.cpu_ns, then.cpu_ns, strict=True)]
            then = now
            if sum(used) > 0:
                time_s = now.time_ns / NS_PER_S - self._begin_s
                self._moments.append(Moment(time_s, expected_parts(used), tuple(self.shares)))
                if self._view is not None:
                    self._view.show(self._end_s - time.monotonic())

    def __repr__(self) -> str:
        shares = " and ".join(f"-c {shares}" for shares in self.shares)
        return f"A panel with live containers, {shares}, on CPU {self.cpu}."

    def _repr_html_(self) -> str:
        return (
            f"<p><i>This shows a slider for each of the {len(self.shares)} containers and a live "
            "chart of their CPU time, when this cell is run in JupyterLab.</i></p>"
        )

    def _make_view(self) -> "SharesView":

        return SharesView(self)


# The widgets of `SharesPanel`: a slider and a line of facts for each container, chart, button.


LEAST_SHARES, STEP = 64, 64
MOST_SHARES = 2048
SMALL = "white-space:nowrap;font-size:12px"
ONE_LINE = widgets.Layout(flex="none", white_space="nowrap")


class SharesView:
    """The widgets on the page; they get updates from the panel, and their sliders control it."""

    def __init__(self, panel: "SharesPanel") -> None:
        self._panel = panel
        self._sliders = [self._slider(number) for number in range(len(panel.shares))]
        self._facts = [widgets.HTML(layout=ONE_LINE) for _ in panel.shares]
        self._chart = widgets.HTML(live_chart.draw(panel.moments, panel.names))
        self._status = widgets.HTML()
        self._button = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop, and remove the containers"
        )
        self._button.on_click(lambda _: panel.close())
        rows = [
            widgets.HBox([self._name(number), slider, fact])
            for number, (slider, fact) in enumerate(zip(self._sliders, self._facts, strict=True))
        ]
        bottom = widgets.HBox([self._button, self._status])
        self.widget = widgets.VBox([*rows, self._chart, bottom])
        self.widget.add_class("labkit-shares-panel")
        for number, shares in enumerate(panel.shares):
            self._show_file(number, shares)

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""
        return {WIDGET_VIEW: self.widget._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self, left_s: float) -> None:
        """Show a new reading; `left_s` is the panel's remaining time."""
        self._chart.value = live_chart.draw(self._panel.moments, self._panel.names)
        self._status.value = (
            f'<span style="color:{style.QUIET}">all on CPU {self._panel.cpu}; they end by '
            f"themselves in {max(0, round(left_s))} s</span>"
        )

    def show_shares(self, number: int, shares: int) -> None:
        """Show new shares of a container, set by its slider or from Python."""
        self._sliders[number].value = shares
        self._show_file(number, shares)

    def show_end(self, status: str) -> None:
        """Show that the containers are gone."""
        self._status.value = html.escape(status)
        for control in (*self._sliders, self._button):
            control.disabled = True

    def _slider(self, number: int) -> Any:
        shares = self._panel.shares
        slider = widgets.IntSlider(
            value=shares[number],
            min=LEAST_SHARES,
            max=max(MOST_SHARES, *shares),
            step=STEP,
            description="-c",
            style={"description_width": "2em"},
            layout=widgets.Layout(width="20em", flex="none"),
        )
        slider.observe(lambda change: self._moved(number, change["new"]), "value")
        return slider

    def _moved(self, number: int, shares: int) -> None:
        if shares == self._panel.shares[number]:
            return
        try:
            self._panel.set_shares(number, shares)
        except OSError as error:
            self._status.value = html.escape(f"The kernel refused: {error}")

    def _name(self, number: int) -> Any:
        words = f'<b style="color:{style.readable(number)}">{self._panel.names[number]}</b>'
        return widgets.HTML(words, layout=ONE_LINE)

    def _show_file(self, number: int, shares: int) -> None:
        files = self._panel.files[number]
        command = f"echo {files.weight_for(shares)} > {_short(files.weight)}"
        self._facts[number].value = f'<code style="{SMALL}">{html.escape(command)}</code>'


def _short(path: str) -> str:
    """The path with the container's long id cut, so that it fits on a line."""
    return "/".join(f"{part[:12]}…" if len(part) == 64 else part for part in path.split("/"))
