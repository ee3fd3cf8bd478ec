"""The live network map: buttons that connect and disconnect *running* containers, and the map.

It leaves nothing behind: only one panel is open at a time, and `close()`, its button and the end of
the notebook's kernel remove its containers and its network.
"""

import atexit
import html
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from labkit.client import Client
from labkit.client.api import network_path
from labkit.client.networks import network_body
from labkit.course.figures.panel import Panel
from labkit.course.networks.network_map import NetworkMap, network_map
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.page.predict import WIDGET_VIEW
from labkit.errors import LabkitError, NotFoundError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

LIFETIME_S = 600.0
DEFAULT = "bridge"

_open: list["MapPanel"] = []


class MapPanel(Panel):
    """Containers and two networks, the default one and a new one, with a button for each pair.

    Show it by making it the last line of a cell.
    """

    def __init__(
        self, names: Sequence[str] = ("ann", "bob", "cat"), *, client: Client | None = None
    ) -> None:
        while _open:
            _open[-1].close()
        self.client = client or connect()
        self.own = f"map-{secrets.token_hex(2)}"
        self.networks = (DEFAULT, self.own)
        self.status = "running"
        self._crew = Crew(self.client, "network-map", LIFETIME_S)
        _open.append(self)
        atexit.register(self.close)
        try:
            body = network_body(self.own, labels=self._crew.labels)
            self.client.api.post("/networks/create", body)
            self.containers = {
                name: self._crew.hire(name, "sleep 100000", network_mode=self.networks[at % 2])
                for at, name in enumerate(names)
            }
        except BaseException:
            self.close()
            raise

    def is_connected(self, name: str, network: str) -> bool:
        """Whether the container has a cable to the network, according to the engine."""
        container = self.containers[name]
        container.reload()
        return network in container.attrs["NetworkSettings"]["Networks"]

    def connect(self, name: str, network: str) -> None:
        """Connect a running container to a network."""
        self._change("connect", name, network)

    def disconnect(self, name: str, network: str) -> None:
        """Disconnect a running container from a network."""
        self._change("disconnect", name, network)

    def map(self) -> NetworkMap:
        """The kernel's present state of the panel's containers."""
        return network_map(self.client, *(one.name for one in self.containers.values()))

    def plot(self) -> "Figure":
        """The map as a figure."""
        return self.map().plot()

    def close(self, status: str = "Stopped. The containers and their network are gone.") -> None:
        """Remove the containers and the network; a second call is no error."""
        if self not in _open:
            return
        _open.remove(self)
        atexit.unregister(self.close)
        self._crew.dismiss()
        with suppress(NotFoundError):
            self.client.api.delete(network_path(self.own))
        self.status = status
        if self._view is not None:
            self._view.show_end(status)

    def _change(self, verb: str, name: str, network: str) -> None:
        if self not in _open:
            raise LabkitError("this panel is closed; run its cell again for a new one")
        body = {"Container": self.containers[name].id}
        self.client.api.post(f"{network_path(network)}/{verb}", body)
        if self._view is not None:
            self._view.show()

    def __repr__(self) -> str:
        return f"A panel with live containers, {', '.join(self.containers)}, and two networks."

    def _repr_html_(self) -> str:
        return (
            f"<p><i>This shows buttons that plug {len(self.containers)} containers in and out, and "
            "a live map, when this cell is run in JupyterLab.</i></p>"
        )

    def _make_view(self) -> "MapView":

        return MapView(self)


# The widgets of the live network map: a button for each container and network, and the map.


class MapView:
    """Rows of buttons, one row for each network; a pressed button means connected."""

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
        """The part of the MIME bundle that shows the widgets."""
        return {WIDGET_VIEW: self._whole._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self) -> None:
        """Draw the map again, and set the buttons to the present state."""
        self._is_showing = True
        try:
            for (name, network), button in self._buttons.items():
                button.value = self._panel.is_connected(name, network)
        finally:
            self._is_showing = False
        self._picture.value = self._panel.plot()._repr_mimebundle_()["text/html"]

    def show_end(self, status: str) -> None:
        """Show that the containers are gone."""
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
