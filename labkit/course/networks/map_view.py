"""The widgets of the live network map: a button for each container and network, and the map."""

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.course.page.predict import WIDGET_VIEW
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.networks.map_panel import MapPanel


class MapView:
    """Buttons in rows, one row a network; pressed means plugged in."""

    def __init__(self, panel: "MapPanel") -> None:
        self._panel = panel
        self._is_showing = False
        self._picture, self._status = widgets.HTML(), widgets.HTML()
        self._buttons = {
            (name, network): self._toggle(name, network)
            for network in panel.networks
            for name in panel.containers
        }
        self._stop = widgets.Button(description="Stop", icon="stop")
        self._stop.on_click(lambda _: panel.close())
        rows = [
            widgets.HBox(
                [
                    widgets.HTML(html.escape(network), layout=widgets.Layout(width="6em")),
                    *(self._buttons[name, network] for name in panel.containers),
                ]
            )
            for network in panel.networks
        ]
        self._whole = widgets.VBox([*rows, self._picture, self._stop, self._status])
        self.show()

    def bundle(self) -> dict[str, Any]:
        """What Jupyter shows."""
        return {WIDGET_VIEW: self._whole._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self) -> None:
        """Draw the map again, and set the buttons as things are."""
        self._is_showing = True
        try:
            for (name, network), button in self._buttons.items():
                button.value = self._panel.is_connected(name, network)
        finally:
            self._is_showing = False
        self._picture.value = self._panel.plot()._repr_mimebundle_()["text/html"]

    def show_end(self, status: str) -> None:
        """The containers are gone."""
        self._status.value = html.escape(status)
        for control in (*self._buttons.values(), self._stop):
            control.disabled = True

    def _toggle(self, name: str, network: str) -> Any:
        button = widgets.ToggleButton(description=name, layout=widgets.Layout(width="7em"))
        button.observe(lambda change: self._pressed(name, network, change["new"]), "value")
        return button

    def _pressed(self, name: str, network: str, is_wanted: bool) -> None:
        if self._is_showing:
            return
        change = self._panel.connect if is_wanted else self._panel.disconnect
        try:
            change(name, network)
        except LabkitError as error:
            self._status.value = html.escape(str(error))
            self.show()
