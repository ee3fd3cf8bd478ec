"""The live network map: buttons that plug *running* containers in and out, and the map after it.

It leaves nothing behind: one panel lives at a time, and `close()`, its button and the end of the
notebook's kernel remove its containers and its network.
"""

import atexit
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from labkit.client import Client
from labkit.client.api import network_path
from labkit.client.networks import network_body
from labkit.course.figures.panel import Panel
from labkit.course.networks.network_map import NetworkMap, network_map
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError, NotFoundError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure
    from labkit.course.networks.map_view import MapView

LIFETIME_S = 600.0
DEFAULT = "bridge"

_open: list["MapPanel"] = []


class MapPanel(Panel):
    """Containers and two networks, the default one and one of its own, with a button for each pair.

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
            self.client.api.post("/networks/create", network_body(self.own))
            self.containers = {
                name: self._crew.hire(name, "sleep 100000", network_mode=self.networks[at % 2])
                for at, name in enumerate(names)
            }
        except BaseException:
            self.close()
            raise

    def is_connected(self, name: str, network: str) -> bool:
        """Whether the container has a cable to the network, as the engine says."""
        container = self.containers[name]
        container.reload()
        return network in container.attrs["NetworkSettings"]["Networks"]

    def connect(self, name: str, network: str) -> None:
        """Plug a running container into a network."""
        self._change("connect", name, network)

    def disconnect(self, name: str, network: str) -> None:
        """Pull its cable."""
        self._change("disconnect", name, network)

    def map(self) -> NetworkMap:
        """The kernel's state now."""
        return network_map(self.client)

    def plot(self) -> "Figure":
        """The map as a figure."""
        return self.map().plot()

    def close(self, status: str = "Stopped. The containers and their network are gone.") -> None:
        """Remove the containers and the network; twice does no harm."""
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
            f"<p><i>Here stand buttons that plug {len(self.containers)} containers in and out, and "
            "a live map, when this cell is run in JupyterLab.</i></p>"
        )

    def _make_view(self) -> "MapView":
        from labkit.course.networks.map_view import MapView  # noqa: PLC0415 there may be no widgets

        return MapView(self)
