"""The disk's four limits, the round trips, the rooms and the daemon's process, on a real engine."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import psutil
import pytest

from labkit.client import Client
from labkit.course.architecture.parents import daemon
from labkit.course.limits.disk_limits import LIMITS, DiskLimits, Rate, disk_limits
from labkit.course.limits.host_view import _remarks, busy_ticks
from labkit.course.networks import netlink
from labkit.course.networks.network_map import network_map
from labkit.course.networks.rooms import Room, remove_links
from labkit.course.networks.round_trips import BRIDGE, HOST, PUBLISHED, RoundTrips, round_trips
from labkit.course.page.leftovers import clear
from tests.lab import PROJECT, Lab
from tests.notebooks.browser import wait_for

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("client")]


def test_each_limit_of_a_disk_is_kept(client: Client) -> None:
    found = disk_limits()
    assert found.holds, found
    assert [one.limit.flag for one in found.rates] == [one.flag for one in LIMITS]
    figure = found.plot()
    assert "--device-read-iops 50: " in figure.alt
    assert figure.png.startswith(b"\x89PNG")
    assert client.containers.list(all=True) == []


@pytest.mark.parametrize(("free", "limited"), [(800.0, 9.0), (4.0, 4.9)])
def test_a_limit_that_is_not_kept_is_noticed(free: float, limited: float) -> None:
    """Too fast with the limit, or no faster without it."""
    assert not DiskLimits((Rate(LIMITS[0], free, limited),)).holds


def test_a_byte_goes_there_and_back_in_three_ways(client: Client) -> None:
    found = round_trips()
    assert list(found.times_us) == [HOST, BRIDGE, PUBLISHED]
    assert all(found.median_us(way) > 0 for way in found.times_us)
    assert f"{BRIDGE}: {found.median_us(BRIDGE):.0f} µs" in found.plot().alt
    assert client.containers.list(all=True) == []


def test_the_fastest_way_and_how_much_longer_the_bridge_takes() -> None:
    found = RoundTrips({HOST: [20.0, 22.0, 90.0], BRIDGE: [33.0], PUBLISHED: [44.0]})
    assert (found.fastest, found.times_longer) == (HOST, 1.5)
    assert found.table().column("times the fastest") == ("1.00", "1.50", "2.00")


def test_a_room_takes_the_place_of_an_older_one_with_its_name() -> None:
    first, other = Room("t-left"), Room("t-right")
    second = Room("t-left")
    assert not psutil.pid_exists(first.pid)
    assert psutil.pid_exists(other.pid)
    second.close()
    other.close()


def test_a_room_ends_with_a_process_that_is_killed() -> None:
    program = "from labkit.course.networks.rooms import Room; print(Room().pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as page:
        assert page.stdout is not None
        holder = int(page.stdout.readline())
        assert psutil.pid_exists(holder)
        os.kill(page.pid, signal.SIGKILL)
        page.wait()
        wait_for(lambda: not psutil.pid_exists(holder), "the holder ends", 30)


def test_links_are_removed_by_name() -> None:
    with netlink.host() as host:
        host.link("add", ifname="t-replay", kind="bridge")
        remove_links("t-replay", "t-no-such")
        assert list(host.link_lookup(ifname="t-replay")) == []


def test_the_map_has_the_containers_that_are_named(client: Client) -> None:
    boxes = [client.containers.run("busybox", ["sleep", "100"], detach=True) for _ in range(2)]
    assert network_map(client, boxes[0].name).containers == (boxes[0].name,)
    assert len(network_map(client).containers) == 2
    for box in boxes:
        box.remove(force=True)


def test_the_daemon_is_the_process_that_listens(lab: Lab) -> None:
    with open(f"{lab.run}/labkitd.pid", encoding="ascii") as file:
        assert daemon().pid == int(file.read())


def test_volumes_and_networks_are_cleared_too(client: Client) -> None:
    client.volumes.create("t-kept")
    client.api.post("/networks/create", {"Name": "t-lan"})
    for _ in range(2):
        clear(volumes=["t-kept", "t-none"], networks=["t-lan", "t-none"])
    assert "t-kept" not in [one.name for one in client.volumes.list()]
    assert "t-lan" not in [one["Name"] for one in client.api.get("/networks")]


class Pinned:
    """A container as `top` reads it."""

    def __init__(self, cpus: str) -> None:
        self.attrs = {"HostConfig": {"CpusetCpus": cpus}}


@pytest.mark.parametrize(
    ("cpus", "used_s", "busy_s", "warned"),
    [
        (("0", "0"), (0.6, 0.3), 0.95, False),
        (("0", "0"), (0.3, 0.1), 0.95, True),
        (("", "0-1"), (0.3, 0.1), 0.95, False),
    ],
    ids=["all of it is theirs", "half of it is not", "held on no single CPU"],
)
def test_top_says_when_other_work_takes_the_cpu(
    cpus: Sequence[str], used_s: Sequence[float], busy_s: float, warned: bool
) -> None:
    boxes = [Pinned(one) for one in cpus]
    said = _remarks(boxes, used_s, {0: busy_s}, 1.0)  # type: ignore[arg-type]
    assert bool(said) is warned
    assert all("CPU 0; run the cell again" in words for words in said)
    assert busy_ticks()[0] > 0
