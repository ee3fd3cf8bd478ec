"""Demo 12: cables laid to running containers, and the map of them from the kernel's own state."""

import secrets

from labkit.client.api import network_path
from labkit.client.containers import Container
from labkit.client.networks import network_body
from labkit.course.demos.canvas import AMBER, CALM, NAVY, PALE, QUIET, TEAL, Canvas, Point
from labkit.course.demos.controls import Choice
from labkit.course.demos.demo import Demo
from labkit.course.networks.network_map import Bridge, Cable, NetworkMap, network_map

NAMES = ("ann", "bob", "cat")
DEFAULT, OWN = "bridge", "lan"
PLUGS = {"both": {DEFAULT, OWN}, DEFAULT: {DEFAULT}, OWN: {OWN}, "none": set()}
"""The networks that a container is connected to, by the words of its control."""
START = {"ann": DEFAULT, "bob": OWN, "cat": "both"}
BOX: Point = (150, 60)
TOP, MIDDLE, BOTTOM = 20.0, 290.0, 440.0
"""The heights of containers, switches and the host's way out."""
EDGES = {DEFAULT: NAVY, OWN: TEAL}


class CablesDemo(Demo):
    """Three containers, two networks, and the cables between them."""

    number = "12"
    title = "The network map"
    say = "Each button lays a cable to a running container, or pulls it: a veth pair, plugged in."
    surprise = "The program in it notices nothing; on lan alone they find each other by name."
    controls = tuple(
        Choice(name, name, (START[name], *(word for word in PLUGS if word != START[name])))
        for name in NAMES
    )

    def begin(self) -> None:
        """Make the second network, and the containers with their first cables."""
        self._lan = f"lan-{secrets.token_hex(2)}"
        body = network_body(self._lan, labels=self.crew.labels)
        self.client.api.post("/networks/create", body)
        pools = self.client.api.get(network_path(self._lan))["IPAM"]["Config"]
        self._gateway = pools[0]["Gateway"]
        self._boxes = {name: self._start(name) for name in NAMES}

    def act(self, key: str) -> None:
        """Lay and pull cables until the container has those that were chosen."""
        self._plug(self._boxes[key], PLUGS[str(self.values[key])])

    def map(self) -> NetworkMap:
        """The kernel's state now."""
        return network_map(self.client, *(box.name for box in self._boxes.values()))

    def draw(self) -> Canvas:
        """Containers above, switches in the middle, the way out below."""
        found = self.map()
        names = {box.name: name for name, box in self._boxes.items()}
        plugged = [f"{names[cable.container]} to {cable.bridge}" for cable in found.cables]
        canvas = Canvas(f"Cables from the kernel's own state: {', '.join(plugged) or 'none'}.")
        places = {name: (150.0 + 300 * at, TOP) for at, name in enumerate(NAMES)}
        bridges = self._bridges(found)
        for cable in found.cables:
            self._cable(canvas, found, cable, places[names[cable.container]], bridges)
        for name, (x, y) in places.items():
            canvas.box((x - BOX[0] / 2, y), BOX, name, face=NAVY, edge=NAVY)
        for name, (bridge, x) in bridges.items():
            canvas.line((x, MIDDLE + 60), (450, BOTTOM), ink=QUIET, thick=3)
            nat = "NAT" if bridge.is_translated else "no NAT"
            canvas.box(
                (x - 190, MIDDLE),
                (380, 64),
                f"{'bridge' if name == DEFAULT else OWN}: {bridge.name}",
                f"{bridge.address}, {nat}",
                face=PALE,
                edge=EDGES[name],
                thick=3,
            )
        canvas.box((270, BOTTOM), (360, 64), "the host", found.uplink or "no way out", face=CALM)
        if not bridges:
            canvas.words((450, MIDDLE + 40), "no cable is plugged in", anchor="middle", ink=QUIET)
        return canvas

    def _bridges(self, found: NetworkMap) -> dict[str, tuple[Bridge, float]]:
        """The switches that have a cable, by the network's word, with their places."""
        placed = {}
        for bridge in found.bridges:
            word = OWN if bridge.address == self._gateway else DEFAULT
            placed[word] = (bridge, 220.0 if word == DEFAULT else 680.0)
        return placed

    def _cable(
        self,
        canvas: Canvas,
        found: NetworkMap,
        cable: Cable,
        place: Point,
        bridges: dict[str, tuple[Bridge, float]],
    ) -> None:
        word, (_, x) = next(
            (name, one) for name, one in bridges.items() if one[0].name == cable.bridge
        )
        mine = [one for one in found.cables if one.container == cable.container]
        shift = 0.0 if len(mine) == 1 else -38.0 if word == DEFAULT else 38.0
        begin = (place[0] + shift, TOP + BOX[1])
        end = (x + (place[0] - 450) * 0.35, MIDDLE)
        canvas.line(begin, end, ink=EDGES[word], thick=4)
        canvas.disc(begin, 7, face=AMBER)
        canvas.disc(end, 7, face=AMBER)
        down = 36.0 if word == DEFAULT else 66.0
        canvas.words(
            (place[0] + 4, begin[1] + down),
            f"{cable.inside} {cable.address}",
            anchor="middle",
            ink=EDGES[word],
            halo=True,
        )

    def _start(self, name: str) -> Container:
        first, *more = sorted(PLUGS[START[name]])
        networks = {DEFAULT: DEFAULT, OWN: self._lan}
        box = self.crew.hire_plain(name, ["sleep", "3600"], network_mode=networks[first])
        if more:
            self._plug(box, PLUGS[START[name]])
        return box

    def _plug(self, box: Container, wanted: set[str]) -> None:
        box.reload()
        there = set(box.attrs["NetworkSettings"]["Networks"])
        for word, network in ((DEFAULT, DEFAULT), (OWN, self._lan)):
            if (word in wanted) != (network in there):
                verb = "connect" if word in wanted else "disconnect"
                body = {"Container": box.id}
                self.client.api.post(f"{network_path(network)}/{verb}", body)
