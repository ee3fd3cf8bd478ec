"""A hundred containers on one bridge, by eight clients at once."""

import contextlib
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.networking import PATIENCE_S, Answering, ask

pytestmark = pytest.mark.root

CONTAINERS, CLIENTS = 100, 8
PORT = 1080
FIRST = "c0"


def start(lab: Lab, name: str) -> dict:
    """A container on the network `crowd`, as it is shown once it runs."""
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "100000"],
        "HostConfig": {"NetworkMode": "crowd", "PortBindings": {f"{PORT}/tcp": [{}]}},
    }
    status, answer = lab.api("POST", f"/containers/create?name={name}", body, PATIENCE_S * 4)
    assert status == 201, answer
    status, answer = lab.api("POST", f"/containers/{name}/start", None, PATIENCE_S * 4)
    assert status == 204, answer
    return lab.api("GET", f"/containers/{name}/json")[1]


def remove(lab: Lab, name: str) -> None:
    status, answer = lab.api("DELETE", f"/containers/{name}?force=1", None, PATIENCE_S * 4)
    assert status == 204, answer


def rules(lab: Lab) -> str:
    table = ["nft", "list", "table", "inet", lab.link_prefix]
    return subprocess.run(table, capture_output=True, text=True, check=True).stdout


def cables(lab: Lab) -> list[str]:
    """The ends on the host of its containers' cables."""
    return [path.name for path in Path("/sys/class/net").glob(f"{lab.link_prefix}v*")]


def test_a_hundred_containers_reach_each_other_and_leave_nothing(make_lab):
    lab = make_lab()
    lab.cli("network", "create", "crowd", check=True)
    without = rules(lab)
    names = [f"c{number}" for number in range(CONTAINERS)]
    with (
        ThreadPoolExecutor(CLIENTS) as clients,
        contextlib.closing(Answering()) as answering,
    ):
        shown = dict(zip(names, clients.map(lambda name: start(lab, name), names), strict=True))
        ends = {name: each["NetworkSettings"]["Networks"]["crowd"] for name, each in shown.items()}
        assert len({end["IPAddress"] for end in ends.values()}) == CONTAINERS
        assert len({end["MacAddress"] for end in ends.values()}) == CONTAINERS
        assert len(cables(lab)) == CONTAINERS
        assert rules(lab).count("dnat ip to") == CONTAINERS
        for name, each in shown.items():
            answering.add(name, each["State"]["Pid"], PORT)
        pid = shown[FIRST]["State"]["Pid"]
        for name, end in ends.items():
            answer = ask(pid, "tcp", end["IPAddress"], PORT)
            assert answer is not None, name
            assert answer.who == name
        script = f"for name in {' '.join(names)}; do ping -c 1 -w 20 $name || echo lost $name; done"
        said = lab.cli("exec", FIRST, "sh", "-c", script, check=True, timeout=PATIENCE_S * 4).stdout
        assert "lost" not in said
        assert said.count(" 0% packet loss") == CONTAINERS
        list(clients.map(lambda name: remove(lab, name), names))
    assert lab.api("GET", "/networks/crowd")[1]["Containers"] == {}
    assert rules(lab) == without
    deadline = time.monotonic() + PATIENCE_S  # the kernel takes a namespace apart when it has time
    while cables(lab):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # Every address is free again: the next is the lowest.
    again = start(lab, "again")["NetworkSettings"]["Networks"]["crowd"]["IPAddress"]
    assert again == min((end["IPAddress"] for end in ends.values()), key=socket.inet_aton)
