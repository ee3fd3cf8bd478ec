"""A host between two networks is no router for having run a container.

LAN 1 and LAN 2 are neighbours that send by this host whatever is not for themselves.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import hosts
from tests.hosts import Host
from tests.lab import Lab
from tests.networking import PATIENCE_S, SILENCE_S, Answering, ask, pid_of, sleeper

pytestmark = pytest.mark.root

HEAR = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as end:
    end.settimeout(20)
    end.bind(("::", int(sys.argv[1])))
    print("ready", flush=True)
    while True:
        data, (sender, *_) = end.recvfrom(100)
        print(data.decode(), sender.removeprefix("::ffff:"), flush=True)
        if data == b"last":
            break
"""
FORGE = """
import ipaddress, socket, struct, sys
sender, receiver, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in receiver else socket.AF_INET
sender, target = map(ipaddress.ip_address, (sender, receiver))
with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    udp = struct.pack(">HHH", int(port), int(port), 14)
    if family == socket.AF_INET6:
        whole = sender.packed + target.packed + struct.pack(">LL", 14, 17) + udp
        words = whole + bytes(2) + b"forged"
        total = sum(struct.unpack(f">{len(words) // 2}H", words))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        head = struct.pack(">LHBB", 6 << 28, 14, 17, 64) + sender.packed + target.packed
        packet = head + udp + struct.pack(">H", ~total & 0xFFFF) + b"forged"
    else:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 34, 1, 0, 64, 17, 0)
        packet = head + sender.packed + target.packed + udp + bytes(2) + b"forged"
    raw.sendto(packet, (receiver, 0))
with socket.socket(family, socket.SOCK_DGRAM) as end:
    end.sendto(b"last", (receiver, int(port)))
"""

OWN, FIRST = "own", 1080
IPV4, IPV6 = 4, 6


@pytest.fixture
def host() -> Iterator[Host]:
    with hosts.running_host() as found:
        yield found


@pytest.fixture
def lab_on(host: Host) -> Iterator[Lab]:
    with hosts.running_lab_on(host) as found:
        yield found


@pytest.fixture
def answering(host: Host) -> Iterator[Answering]:
    with contextlib.closing(Answering()) as found:
        for number, lan in enumerate(host.lans, 1):
            found.add(f"lan{number}", lan.pid, FIRST, "::")
        yield found


def end_of(shown: dict) -> dict:
    (end,) = shown["NetworkSettings"]["Networks"].values()
    return end


def is_routed(host: Host, version: int = IPV4, *, expected: bool = False) -> bool:
    """Whether a packet of LAN 1's to LAN 2 is passed on."""
    one, two = host.lans
    address = two.address_6 if version == IPV6 else two.address
    patience_s = PATIENCE_S if expected else SILENCE_S
    return ask(one.pid, "udp", address, FIRST, patience_s=patience_s) is not None


def six(lab: Lab) -> tuple[str, ...]:
    lab.cli("network", "create", "--ipv6", "six", check=True)
    return ("--network", "six")


def test_neighbours_do_not_reach_each_other(host, lab_on, answering):
    assert not is_routed(host)
    shown = sleeper(lab_on, "web", *six(lab_on), "-p", "8080:1080")
    answering.add("web", pid_of(shown), FIRST, "::")
    one, two = host.lans
    for version in (IPV4, IPV6):
        assert not is_routed(host, version)
        for lan, name in ((one, "lan1"), (two, "lan2")):
            there = lan.address_6 if version == IPV6 else lan.address
            here = lan.host_address_6 if version == IPV6 else lan.host_address
            assert ask(pid_of(shown), "udp", there, FIRST).who == name
            assert ask(lan.pid, "tcp", here, 8080).who == "web"
    lab_on.stop_daemon()  # the container goes on
    assert ask(one.pid, "tcp", one.host_address, 8080).who == "web"
    for version in (IPV4, IPV6):
        assert not is_routed(host, version)


def test_nothing_is_changed_for_good(host, lab_on):
    names = [
        f"net/ipv{version}/conf/{link}/{name}"
        for version, parameters in ((4, ("forwarding",)), (6, ("forwarding", "accept_ra")))
        for link in ("all", "default", "eth0", "eth1")
        for name in parameters
    ]
    host.set_sysctl("net/ipv6/conf/eth0/accept_ra", "2")
    before = {name: host.sysctl(name) for name in names}
    sleeper(lab_on, "web", *six(lab_on), "-p", "8080:1080")
    now = {name: host.sysctl(name) for name in names}
    changed = {name for name in names if now[name] != before[name]}
    assert changed == {
        "net/ipv4/conf/eth0/forwarding",
        "net/ipv4/conf/eth1/forwarding",
        "net/ipv6/conf/all/forwarding",
    }
    lab_on.remove_containers()
    lab_on.api("POST", "/networks/prune", {})
    lab_on.stop_daemon()
    assert {name: host.sysctl(name) for name in names} == before
    assert lab_on.link_prefix not in host.rules()


def test_make_clean_undoes_what_a_daemon_that_was_killed_has_left(host, lab_on):
    host.run("iptables-nft", "-P", "FORWARD", "DROP")
    host.run("iptables-legacy", "-P", "FORWARD", "DROP")
    rules = host.rules()
    named = ("-o", "com.docker.network.bridge.name=lkown0")
    lab_on.cli("network", "create", *named, "named", check=True)
    sleeper(lab_on, "web", *six(lab_on), "-p", "8080:1080")
    assert host.rules() != rules
    lab_on.remove_containers()
    lab_on.kill_daemon()
    hosts.undo(host, lab_on)
    assert host.rules() == rules
    links = host.run("ip", "-br", "link")
    assert lab_on.link_prefix not in links
    assert "lkown0" not in links
    for name in ("net/ipv4/conf/eth0/forwarding", "net/ipv6/conf/all/forwarding"):
        assert host.sysctl(name) == "0"


@pytest.mark.parametrize("version", [IPV4, IPV6])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_router_stays_a_router(host, lab_on, answering, when, version):
    """Who turns forwarding on, labkit or somebody else, decides who may use it."""
    switch = f"net/ipv{version}/conf/all/forwarding"
    if when == "before":
        host.set_sysctl(switch, "1")
    shown = sleeper(lab_on, "web", *six(lab_on), "-p", "8080:1080")
    answering.add("web", pid_of(shown), FIRST, "::")
    if when == "after":
        assert not is_routed(host, version)
        host.set_sysctl(switch, "1")
    assert is_routed(host, version, expected=True)
    one = host.lans[0]
    here = one.host_address_6 if version == IPV6 else one.host_address
    assert ask(one.pid, "tcp", here, 8080).who == "web"
    lab_on.remove_containers()
    lab_on.api("POST", "/networks/prune", {})
    lab_on.stop_daemon()
    assert host.sysctl(switch) == "1"
    assert is_routed(host, version, expected=True)


@pytest.mark.parametrize("version", [IPV4, IPV6])
def test_forwarding_that_another_turns_off_is_turned_on_for_containers(
    host, lab_on, answering, version
):
    switch = f"net/ipv{version}/conf/all/forwarding"
    host.set_sysctl(switch, "1")
    shown = sleeper(lab_on, "web", *six(lab_on))
    host.set_sysctl(switch, "0")
    one = host.lans[0]
    there = one.address_6 if version == IPV6 else one.address
    assert ask(pid_of(shown), "udp", there, FIRST) is not None
    assert not is_routed(host, version)


def test_two_engines_do_not_close_each_other(host, lab_on, answering):
    one = host.lans[0]
    first = sleeper(lab_on, "first", "-p", "8081:1080")
    answering.add("first", pid_of(first), FIRST)
    with hosts.running_lab_on(host) as other:
        second = sleeper(other, "second", "-p", "8082:1080")
        answering.add("second", pid_of(second), FIRST)
        for port, name in ((8081, "first"), (8082, "second")):
            assert ask(one.pid, "tcp", one.host_address, port).who == name
        assert not is_routed(host)
        lab_on.remove_containers()
        lab_on.stop_daemon()
        assert ask(one.pid, "tcp", one.host_address, 8082).who == "second"
        assert not is_routed(host)


def test_a_default_route_that_a_router_has_announced_is_kept(host, lab_on):
    """A host that forwards IPv6 is deaf to routers, unless it is told to listen."""
    announced = ("default", "via", "fe80::1", "dev", "eth0", "proto", "ra", "expires", "600")
    host.run("ip", "-6", "route", "add", *announced)
    sleeper(lab_on, "web", *six(lab_on))
    assert host.sysctl("net/ipv6/conf/all/forwarding") == "1"
    assert "default via fe80::1" in host.run("ip", "-6", "route")
    # A kernel that forwards on a link drops such routes; this one does not forward as a router.
    assert host.sysctl("net/ipv6/conf/eth0/forwarding") == "0"


def test_a_container_is_no_router_of_the_hosts(host, lab_on):
    shown = sleeper(lab_on, "web")
    bridge = host.run("ip", "-br", "link", "show", "type", "bridge").split()[0]
    assert host.sysctl(f"net/ipv6/conf/{bridge}/accept_ra") == "0"
    assert pid_of(shown)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_at_the_loopback_answers_no_neighbour(host, lab_on, answering, protocol):
    places = ("-p", f"127.0.0.1:8081:1080/{protocol}", "-p", f"127.0.0.2:8082:1080/{protocol}")
    shown = sleeper(lab_on, "web", *places)
    answering.add("web", pid_of(shown), FIRST)
    one = host.lans[0]
    hosts.inside(one.pid, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    hosts.inside(one.pid, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
    hosts.inside(one.pid, "ip", "route", "add", "127.0.0.0/8", "via", one.host_address)
    for route_localnet in ("0", "1"):
        host.set_sysctl("net/ipv4/conf/eth0/route_localnet", route_localnet)
        for address, port in (("127.0.0.1", 8081), ("127.0.0.2", 8082)):
            assert ask(host.pid, protocol, address, port).who == "web"
            assert ask(one.pid, protocol, address, port, patience_s=SILENCE_S) is None


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_container_is_not_reached_by_its_address(host, lab_on, answering, protocol):
    """Neither at a port that is published nor at another, by a neighbour that knows the way."""
    shown = sleeper(lab_on, "web", *six(lab_on), "-p", f"8080:1080/{protocol}")
    answering.add("web", pid_of(shown), FIRST, "::")
    answering.add("web", pid_of(shown), FIRST + 1, "::")
    end, one = end_of(shown), host.lans[0]
    for address in (end["IPAddress"], end["GlobalIPv6Address"]):
        for port in (FIRST, FIRST + 1):
            assert ask(host.pid, protocol, address, port).who == "web"
            assert ask(one.pid, protocol, address, port, patience_s=SILENCE_S) is None
    assert ask(one.pid, protocol, one.host_address, 8080).who == "web"


def test_the_address_that_a_network_publishes_at(host, lab_on, answering):
    option = "com.docker.network.bridge.host_binding_ipv4=127.0.0.1"
    lab_on.cli("network", "create", "--ipv6", "-o", option, "inward", check=True)
    shown = sleeper(lab_on, "web", "--network", "inward", "-p", "8080:1080")
    answering.add("web", pid_of(shown), FIRST, "::")
    places = shown["NetworkSettings"]["Ports"]["1080/tcp"]
    assert places == [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    one = host.lans[0]
    assert ask(host.pid, "tcp", "127.0.0.1", 8080).who == "web"
    for address in (one.host_address, one.host_address_6):
        assert ask(one.pid, "tcp", address, 8080, patience_s=SILENCE_S) is None


@pytest.mark.parametrize("to", ["neighbour", "host"])
@pytest.mark.parametrize("version", [IPV4, IPV6])
def test_a_container_does_not_send_with_an_address_outside(host, lab_on, version, to):
    """The receiver would take it for an answer of that machine's."""
    one, two = host.lans
    shown = sleeper(lab_on, "forger", *six(lab_on))
    if version == IPV6:
        forged, there, here = two.address_6, one.address_6, one.host_address_6
        own = end_of(shown)["GlobalIPv6Address"]
    else:
        forged, there, here = two.address, one.address, one.host_address
        own = end_of(shown)["IPAddress"]
    pid, receiver, sender = (one.pid, there, here) if to == "neighbour" else (host.pid, here, own)
    python = [sys.executable, "-c"]
    with subprocess.Popen(
        [*hosts.enter(pid), *python, HEAR, "2000"], stdout=subprocess.PIPE, text=True
    ) as hearing:
        assert hearing.stdout.readline() == "ready\n"
        hosts.inside(pid_of(shown), *python, FORGE, forged, receiver, "2000")
        heard = hearing.stdout.read()
    assert heard == f"last {sender}\n"
