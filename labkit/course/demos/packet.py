"""Demo 12b: one ping, seen at every interface on its way out, with and without NAT."""

import secrets

from labkit.client.networks import network_body
from labkit.course.demos.canvas import BAD, CALM, CRIMSON, NAVY, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Choice, Press
from labkit.course.demos.demo import Demo
from labkit.course.networks.network_map import network_map
from labkit.course.networks.packet_way import Hop, PacketWay, Place, seen_way
from labkit.course.networks.rooms import Outside

ON, OFF = "on", "off"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
LINK = "lab-demo"
WIDTH, CARD = 184.0, (162.0, 116.0)
LANES = {"request": 110.0, "reply": 330.0}
HOP_S = 0.35


class PacketDemo(Demo):
    """Each card is the packet as it was seen there; red is what was rewritten."""

    number = "12b"
    title = "A packet, hop by hop"
    say = "The same packet is caught at every interface: NAT writes the host's address into it."
    surprise = (
        "Without NAT the packet gets out just as well; it is the answer that finds no way back."
    )
    controls = (Choice("nat", "NAT", (ON, OFF)), Press("ping", "ping the outside"))

    def begin(self) -> None:
        """Make a machine outside, and two networks: one with NAT and one without."""
        self._outside = Outside(LINK)
        self.keep(self._outside.close)
        self._networks = {word: f"way-{word}-{secrets.token_hex(2)}" for word in (ON, OFF)}
        for word, name in self._networks.items():
            options = {MASQUERADE: "true" if word == ON else "false"}
            body = network_body(name, labels=self.crew.labels, options=options)
            self.client.api.post("/networks/create", body)
        self._way: list[Hop] = []
        self._is_over = False
        self._boxes = {
            word: self.crew.hire_plain("ann", ["sleep", "3600"], network_mode=name)
            for word, name in self._networks.items()
        }
        self._places = {word: self._way_of(word) for word in self._networks}

    def act(self, key: str) -> None:
        """Send the ping, and show it arrive at one place after the other."""
        self._way, self._is_over = [], False
        if key != "ping":
            return
        word = str(self.values["nat"])
        ping = ["ping", "-c", "1", "-W", "1", self._outside.address]
        way = seen_way(
            self._places[word],
            lambda: self._boxes[word].exec_run(ping),
            self._outside.address,
        )
        for hop in self._on_its_way(way):
            self._way.append(hop)
            self.pause(HOP_S)
        self._is_over = True

    def draw(self) -> Canvas:
        """A column for each place; the request above, the answer below."""
        places = self._places[str(self.values["nat"])]
        said = [f"{hop.echo.kind} at {hop.place.name} from {hop.echo.source}" for hop in self._way]
        canvas = Canvas(f"A ping's way: {'; '.join(said) or 'not sent yet'}.")
        for column, place in enumerate(places):
            x = column * WIDTH + CARD[0] / 2
            canvas.words((x, 34), place.name, anchor="middle", bold=True)
            canvas.words((x, 64), place.interface, anchor="middle", ink=QUIET, width=WIDTH)
        before: dict[str, Hop] = {}
        for hop in self._way:
            kind = hop.echo.kind
            self._card(canvas, places.index(hop.place), hop, before.get(kind))
            before[kind] = hop
        if not self._way:
            canvas.words((450, 270), "press ping", anchor="middle", ink=QUIET)
        elif self._is_over and "reply" not in before:
            canvas.box((0, LANES["reply"]), (900, 70), "no answer was seen anywhere", face=BAD)
            source = self._way[-1].echo.source
            words = f"outside knows no way to {source}, an address of this host"
            canvas.words((0, 440), words, width=900)
        elif "reply" in before:
            canvas.words((0, 500), "red: rewritten since the card before", ink=CRIMSON)
        return canvas

    def _card(self, canvas: Canvas, column: int, hop: Hop, before: Hop | None) -> None:
        kind, echo = hop.echo.kind, hop.echo
        x, y = column * WIDTH + 1, LANES[kind]
        is_new = before is not None and before.echo[1:3] != echo[1:3]
        face = BAD if is_new else CALM
        edge = CRIMSON if is_new else NAVY if kind == "request" else TEAL
        canvas.box((x, y), CARD, face=face, edge=edge, thick=4 if is_new else 2)
        rows = (("from", echo.source, 0), ("to", echo.destination, 1))
        for word, address, row in rows:
            is_changed = before is not None and before.echo[1 + row] != address
            canvas.words((x + 8, y + 24 + 50 * row), word, ink=QUIET)
            ink = CRIMSON if is_changed else "#1F2328"
            canvas.words((x + 8, y + 48 + 50 * row), address, bold=is_changed, ink=ink)
        if before is not None:
            step = WIDTH if kind == "request" else -WIDTH
            middle = y + CARD[1] / 2
            start = x - step + (CARD[0] if step > 0 else 0)
            canvas.arrow((start, middle), (x if step > 0 else x + CARD[0], middle), ink=edge)

    def _way_of(self, word: str) -> list[Place]:
        box = self._boxes[word]
        box.reload()
        (cable,) = network_map(self.client, box.name).cables
        return [
            Place("ann", cable.inside, f"/proc/{box.attrs['State']['Pid']}/ns/net"),
            Place("its cable", cable.outside),
            Place("the bridge", cable.bridge),
            Place("the host", self._outside.link),
            Place("outside", "eth0", self._outside.path),
        ]

    @staticmethod
    def _on_its_way(way: PacketWay) -> list[Hop]:
        return [*way.leg("request"), *way.leg("reply")]
