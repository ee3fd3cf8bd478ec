"""The widgets of `NamespacePanel`: a row of buttons a flag, the command, the map, the facts."""

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.course.figures import style
from labkit.course.namespaces.namespace_panel import SWITCHES
from labkit.course.page.predict import WIDGET_VIEW
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.namespaces.namespace_panel import NamespacePanel

BUTTON_WIDTH = "7.5em"
FLAG = widgets.Layout(width="7em", flex="none")
BUTTONS = widgets.Layout(width="max-content", flex="none")
BESIDE = widgets.Layout(margin="0 0 0 2em")


class NamespaceView:
    """What is on the page; its buttons tell the panel, the panel tells it what to show."""

    def __init__(self, panel: "NamespacePanel") -> None:
        self._panel = panel
        self._rows = {kind: self._row(kind) for kind in SWITCHES}
        self._command, self._map, self._facts = (widgets.HTML() for _ in range(3))
        self._facts.layout = BESIDE
        self._status = widgets.HTML()
        self._button = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop, and remove the containers"
        )
        self._button.on_click(lambda _: panel.close())
        self._is_showing = False
        bottom = widgets.HBox([self._button, self._status])
        rows = [widgets.HBox([_flag(kind), row]) for kind, row in self._rows.items()]
        top = widgets.HBox([widgets.VBox(rows), self._facts])
        self.widget = widgets.VBox([top, self._command, self._map, bottom])
        self.widget.add_class("labkit-namespace-panel")
        self.show()

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""
        return {WIDGET_VIEW: self.widget._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self) -> None:
        """There is a new container."""
        self._show_choices()
        self._command.value = f"<code>{html.escape(self._panel.command)}</code>"
        self._map.value = str(self._panel.plot()._repr_mimebundle_()["text/html"])
        self._facts.value = self._panel.facts()._repr_html_()
        self._status.value = ""

    def show_end(self) -> None:
        """The containers are gone."""
        self._status.value = html.escape(self._panel.status)
        for control in (*self._rows.values(), self._button):
            control.disabled = True

    def _row(self, kind: str) -> Any:
        switch = SWITCHES[kind]
        row = widgets.ToggleButtons(
            options=tuple(switch.words),
            value=self._panel.modes[kind],
            style={"button_width": BUTTON_WIDTH},
            layout=BUTTONS,
        )
        row.observe(lambda change: self._chosen(kind, change["new"]), "value")
        return row

    def _chosen(self, kind: str, mode: str) -> None:
        if self._is_showing or mode == self._panel.modes[kind]:
            return
        try:
            self._panel.choose(kind, mode)
        except LabkitError as error:
            self._show_choices()
            words = html.escape(str(error))
            self._status.value = f'<span style="color:{style.readable(1)}">{words}</span>'

    def _show_choices(self) -> None:
        self._is_showing = True
        for kind, row in self._rows.items():
            row.value = self._panel.modes[kind]
        self._is_showing = False


def _flag(kind: str) -> Any:
    return widgets.HTML(f"<code>{SWITCHES[kind].flag}</code>", layout=FLAG)
