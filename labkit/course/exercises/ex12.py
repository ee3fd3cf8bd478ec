"""Exercises of chapter 12: networks.  The judge asks and pings from within, and reads the links."""

import os
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import missed, running, sleeper
from labkit.course.exercises.looks import networks as looks
from labkit.course.exercises.place import Place, Seen
from labkit.course.networks import netlink

_LIFE = Lesson(
    "A container has a network as long as it runs.",
    "chapter 12, section Three modes",
    "the state that the engine lists for the container",
)
_NAMES = Lesson(
    "Containers find each other by name on a network that you made, not on the usual one.",
    "chapter 12, section A network of your own",
    "the networks that the engine lists, and which of them each container is on",
)
_BRIDGE = Lesson(
    "A bridge is a switch: a network with a cable to it can reach the others on it.",
    "chapter 12, section A bridge by hand",
    "the master of each cable's outer end, the addresses inside, and whether all ends are up",
)
_ROOMS = Lesson(
    "A network namespace is a room without any cable at first.",
    "chapter 12, section A bridge by hand",
    "the link net in /proc/PID/ns of your processes",
)
_PORT = Lesson(
    "A published port has an address as well: 127.0.0.1 is for this machine alone.",
    "chapter 12, section One host, one port 8080",
    "the ports that the engine lists for the container, with the address before them",
)
_INSIDE = Lesson(
    "A network without a way out has no gateway: its containers reach only each other.",
    "chapter 12, section The vault",
    "the file /proc/PID/net/route of the container's process",
)
_MEND = Lesson(
    "A packet needs a cable that is up at both ends, an address, a bridge, and a route.",
    "chapter 12, section The packet's way",
    "the links inside and outside, one after the other, and the routes inside",
)


def _draw_names(dice: Dice) -> dict[str, object]:
    return {"first": dice.name("caller"), "second": dice.name("callee")}


def _judge_names(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    first = running(found, place, values.first, 1, _LIFE)
    second = running(found, place, values.second, 1, _LIFE)
    asked = f"the address of {values.second}, asked from {values.first}"
    back, bridge = f"the address of {values.first}, asked from {values.second}", "their bridge"
    if first is None or second is None:
        text = "its own"
        return missed(
            found, (asked, text, 2, _NAMES), (back, text, 2, _NAMES), (bridge, "one", 1, _BRIDGE)
        )
    for what, asker, named in ((asked, first, second), (back, second, first)):
        said = looks.address_of(asker.pid, named.name)
        has = _addresses(named)
        is_met = bool(said) and said in has
        found.add(what, " or ".join(has) or "its own", said or "none", 2, _NAMES, met=is_met)
    plugged = {looks.bridge_of(each.pid) for each in (first, second)}
    one = len(plugged) == 1 and "" not in plugged
    text = "one" if one else "none" if plugged == {""} else "two"
    # This holds on the usual network, too: it counts only where names are known.
    named_all = all(finding.is_met for finding in found.all)
    found.add(bridge, "one", text, 1, _BRIDGE, met=one and named_all)
    return found.all


def _addresses(seen: Seen) -> list[str]:
    every = [address for link in looks.links(seen.pid) for address in link["addresses"]]
    return [address for address in every if address != "127.0.0.1"]


def _draw_rooms(dice: Dice) -> dict[str, object]:
    net = f"10.{dice.randrange(20, 60)}.{dice.randrange(1, 250)}"
    times = {name: dice.seconds() for name in ("one", "two", "three")}
    addresses = {f"address_{name}": f"{net}.{at}" for at, name in enumerate(times, 1)}
    return {"bridge": f"br-{dice.mark}", **times, **addresses}


def _judge_rooms(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    names = "one", "two", "three"
    pids = [(place.started("sleep", str(values[name])) or [0])[-1] for name in names]
    rooms = {processes.namespace(pid, "net") for pid in pids} - {0, place.namespace("net")}
    what = "the networks of the three processes"
    found.add(what, "3, none the host's", f"{len(rooms)}", 1, _ROOMS, met=len(rooms) == 3)
    every = looks.own_links()
    bridge = next((link for link in every if link["name"] == values.bridge), None)
    ports = sum(1 for link in every if bridge is not None and link["master"] == bridge["index"])
    text = f"{ports} cables" if bridge else "there is no such link"
    is_met = found.add(f"the bridge {values.bridge}", "3 cables", text, 2, _BRIDGE)
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    reached = sum(
        1
        for a, b in pairs
        if is_met and pids[a] and looks.ping(pids[a], values[f"address_{names[b]}"])
    )
    text = f"{reached} of 6"
    all_met = reached == 6 and len(rooms) == 3
    found.add("pings between them that are answered", "6 of 6", text, 5, _BRIDGE, met=all_met)
    return found.all


def _draw_port(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("shy"), "port": dice.randrange(20_000, 28_000)}


def _judge_port(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    near, far = f"port {values.port} at 127.0.0.1", "the same port at other addresses"
    if seen is None:
        return missed(found, (near, "it answers", 3, _PORT), (far, "no answer", 2, _PORT))
    answer = looks.answers("127.0.0.1", values.port) and _is_published(seen, values.port)
    text = "it answers" if answer else "no answer"
    found.add(near, "it answers", text, 3, _PORT)
    others = [address for link in looks.own_links() for address in link["addresses"]]
    open_at = [
        address
        for address in others
        if not address.startswith("127.") and looks.answers(address, values.port, 0.5)
    ]
    text = f"it answers at {open_at[0]}" if open_at else "no answer"
    found.add(far, "no answer", text, 2, _PORT, met=answer and not open_at)
    return found.all


def _is_published(seen: Seen, port: int) -> bool:
    ports = seen.attrs["NetworkSettings"].get("Ports") or {}
    return any(int(each["HostPort"]) == port for given in ports.values() for each in given or ())


def _draw_inside(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("vault"), "other": dice.name("guard"), "network": dice.name("inner")}


def _judge_inside(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    other = running(found, place, values.other, 1, _LIFE)
    reach, out = f"a ping from {values.name} to {values.other}", "its way out"
    if seen is None or other is None:
        return missed(found, (reach, "answered", 3, _BRIDGE), (out, "none", 3, _INSIDE))
    named = other.attrs["NetworkSettings"]["Networks"].get(values.network)
    addresses = _addresses(other)
    is_on = named is not None and named.get("IPAddress") in addresses
    answered = is_on and looks.ping(seen.pid, str(named["IPAddress"]))
    text = "answered" if answered else "no answer"
    found.add(reach, "answered", text, 3, _BRIDGE)
    gateway = looks.default_route(seen.pid)
    is_met = answered and not gateway
    found.add(out, "none", gateway or "none", 3, _INSIDE, met=is_met)
    return found.all


FAULTS = ("link", "bridge", "address", "route")


def _draw_broken(dice: Dice) -> dict[str, object]:
    fault = dice.choice(FAULTS)
    return {"name": dice.name("broken"), "network": dice.name("net"), "_fault": fault}


def _scene_broken(place: Place, values: Values) -> Memo:
    client = place.client
    body = {"Name": values.network, "Driver": "bridge", "CheckDuplicate": True}
    client.api.post("/networks/create", body)
    seen = sleeper(place, values.name, network_mode=values.network)
    gateway = looks.default_route(seen.pid)
    address = _addresses(seen)[0]
    _BREAK[values["_fault"]](seen)
    return {"pid": seen.pid, "began": seen.began, "gateway": gateway, "address": address}


def _break_link(seen: Seen) -> None:
    with netlink.inside(f"/proc/{seen.pid}/ns/net") as view:
        view.link("set", index=view.link_lookup(ifname="eth0")[0], state="down")


def _break_bridge(seen: Seen) -> None:
    inside = next(link for link in looks.links(seen.pid) if link["name"] == "eth0")
    with netlink.host() as view:
        view.link("set", index=inside["peer"], master=0)


def _break_address(seen: Seen) -> None:
    with netlink.inside(f"/proc/{seen.pid}/ns/net") as view:
        view.flush_addr(index=view.link_lookup(ifname="eth0")[0])


def _break_route(seen: Seen) -> None:
    with netlink.inside(f"/proc/{seen.pid}/ns/net") as view:
        view.route("del", dst="0.0.0.0/0", gateway=looks.default_route(seen.pid))


_BREAK = {
    "link": _break_link,
    "bridge": _break_bridge,
    "address": _break_address,
    "route": _break_route,
}


def _judge_broken(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 0, _LIFE)
    reach, out, same = "a ping to its gateway", "its way out", "its process"
    gateway = str(memo.get("gateway", ""))
    if seen is None or not gateway:
        return missed(
            found,
            (reach, "answered, with the way beyond it", 3, _MEND),
            (out, gateway or "its gateway", 2, _MEND),
            (same, "the same as at the start", 1, _LIFE),
        )
    answered = looks.ping(seen.pid, gateway)
    way = looks.default_route(seen.pid)
    # With one fault the other finding may hold from the start: both are worth points only together.
    whole = answered and way == gateway and memo.get("address") in _addresses(seen)
    beyond = "answered, with the way beyond it"
    text = beyond if whole else "answered, without the way beyond it" if answered else "no answer"
    found.add(reach, beyond, text, 3, _MEND)
    found.add(out, gateway, way or "none", 2, _MEND, met=whole)
    is_same = [seen.pid, seen.began] == [memo.get("pid"), memo.get("began")]
    text = "the same as at the start" if is_same else "another one"
    found.add(same, "the same as at the start", text, 1, _LIFE, met=whole and is_same)
    return found.all


def _tidy_rooms(place: Place, values: Values) -> None:
    """End the rooms' processes: the cables end with the rooms, and the bridge has the mark."""
    for name in ("one", "two", "three"):
        for pid in place.started("sleep", str(values[name])):
            with suppress(OSError):
                os.kill(pid, 9)


EXERCISES = (
    Exercise(
        "12.1",
        "Found by name",
        "Start `{first}` and `{second}` from `busybox` so that each finds the other by its name.",
        7,
        _draw_names,
        _judge_names,
    ),
    Exercise(
        "12.2",
        "A bridge by hand",
        "Without the engine: make three network namespaces and keep each with a process that "
        "sleeps for {one}, {two} and {three} seconds.  Make the bridge `{bridge}` and lay a cable "
        "from it to each.  Their addresses are {address_one}, {address_two} and {address_three}; "
        "each reaches the other two.",
        8,
        _draw_rooms,
        _judge_rooms,
        tidy=_tidy_rooms,
    ),
    Exercise(
        "12.3",
        "A port for this machine alone",
        "Start `{name}` with a server in it.  It answers at port {port} of 127.0.0.1, and at no "
        "other address of this machine.",
        6,
        _draw_port,
        _judge_port,
    ),
    Exercise(
        "12.4",
        "A network without a way out",
        "Make the network `{network}`, and start `{name}` and `{other}` on it.  They reach each "
        "other, and nothing outside.",
        8,
        _draw_inside,
        _judge_inside,
    ),
    Exercise(
        "12.5",
        "Mend it",
        "`{name}` on the network `{network}` runs already, but reaches nothing: one thing on the "
        "way of its packets was broken.  Find it and mend it while the container runs, with the "
        "address and the gateway that the engine gave it.",
        6,
        _draw_broken,
        _judge_broken,
        _scene_broken,
    ),
)
