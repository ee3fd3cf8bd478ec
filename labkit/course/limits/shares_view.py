"""The widgets of `SharesPanel`: a slider and a line of facts per container, the chart, a button."""

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.course.figures import live_chart, style
from labkit.course.page.predict import WIDGET_VIEW

if TYPE_CHECKING:
    from labkit.course.limits.shares_panel import SharesPanel

LEAST_SHARES, STEP = 64, 64
MOST_SHARES = 2048
SMALL = "white-space:nowrap;font-size:12px"
ONE_LINE = widgets.Layout(flex="none", white_space="nowrap")


class SharesView:
    """What is on the page; the panel tells it what to show, its sliders tell the panel."""

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
        """There is a new reading; `left_s` is how long the panel will run on."""
        self._chart.value = live_chart.draw(self._panel.moments, self._panel.names)
        self._status.value = (
            f'<span style="color:{style.QUIET}">all on CPU {self._panel.cpu}; they end by '
            f"themselves in {max(0, round(left_s))} s</span>"
        )

    def show_shares(self, number: int, shares: int) -> None:
        """The shares of a container were set, by its slider or from Python."""
        self._sliders[number].value = shares
        self._show_file(number, shares)

    def show_end(self, status: str) -> None:
        """The containers are gone."""
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
    """The path with the container's long id cut, so that a line holds it."""
    return "/".join(f"{part[:12]}…" if len(part) == 64 else part for part in path.split("/"))
