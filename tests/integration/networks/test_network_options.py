"""What may be asked of a network and of a container's place on it; and what outlives the daemon."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.networks import bridges
from tests import leaks
from tests.lab import Lab
from tests.networking import (
    HOST,
    PATIENCE_S,
    SILENCE_S,
    ask,
    in_network_of,
    pid_of,
    sleeper,
    socket_of,
)

pytestmark = pytest.mark.root

MTU_OPTION = "com.docker.network.driver.mtu"


def address_of(shown: dict, network: str = "bridge") -> str:
    return shown["NetworkSettings"]["Networks"][network]["IPAddress"]


def published(shown: dict, port: str) -> int:
    numbers = {int(place["HostPort"]) for place in shown["NetworkSettings"]["Ports"][port]}
    (number,) = numbers
    return number


def inside(lab: Lab, name: str, command: str) -> str:
    return lab.cli("exec", name, "sh", "-c", command, check=True).stdout.strip()


@pytest.mark.host_power("host network")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_of_both_versions_of_ip(networks, outside, answering, protocol):
    networks.cli("network", "create", "--ipv6", "six", check=True)
    shown = sleeper(networks, "web", "--network", "six", "-p", f"0:1080/{protocol}")
    other = sleeper(networks, "other", "--network", "six")
    answering.add("web", pid_of(shown), 1080, "::")
    end = shown["NetworkSettings"]["Networks"]["six"]
    host_port = published(shown, f"1080/{protocol}")
    gateway_6 = end["IPv6Gateway"]
    for pid, address, port in (
        (pid_of(other), end["GlobalIPv6Address"], 1080),
        (pid_of(other), end["IPAddress"], 1080),
        (HOST, end["GlobalIPv6Address"], 1080),
        (outside.pid, outside.host_address_6, host_port),
        (outside.pid, outside.host_address, host_port),
        (HOST, outside.host_address_6, host_port),
        (pid_of(other), gateway_6, host_port),
        (pid_of(shown), outside.host_address_6, host_port),
        (HOST, "127.0.0.1", host_port),
    ):
        answer = ask(pid, protocol, address, port, patience_s=PATIENCE_S)
        assert answer is not None, (pid, address, port)
        assert answer.who == "web"
    networks.cli("network", "create", "--ipv6", "apart", check=True)
    stranger = sleeper(networks, "stranger", "--network", "apart")
    for pid in (pid_of(stranger), outside.pid):
        address = end["GlobalIPv6Address"]
        assert ask(pid, protocol, address, 1080, patience_s=SILENCE_S) is None
        answer = ask(pid, protocol, outside.host_address_6, host_port)
        assert answer is not None
    # The kernel knows no way from IPv6's loopback: who tries is refused, and need not wait.
    with socket_of(HOST, protocol, "::1") as client:
        client.settimeout(PATIENCE_S)
        with pytest.raises((ConnectionRefusedError, PermissionError)):
            client.connect(("::1", host_port))
            client.send(b"?")
            client.recv(100)
    answering.add("outside", outside.pid, 1099, "::")
    answer = ask(pid_of(shown), protocol, outside.address_6, 1099)
    assert answer is not None
    assert answer.seen == outside.host_address_6


@pytest.mark.host_power("host network")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("network", ["bridge", "six"])
def test_a_port_at_the_loopback_of_ipv6(networks, answering, protocol, network):
    """The kernel forwards nothing from there, nor from IPv6 to IPv4: a process relays it."""
    if network == "six":
        networks.cli("network", "create", "--ipv6", network, check=True)
    place = f"[::1]:0:1080/{protocol}"
    shown = sleeper(networks, "web", "--network", network, "-p", place)
    answering.add("web", pid_of(shown), 1080, "::")
    host_port = published(shown, f"1080/{protocol}")
    answer = ask(HOST, protocol, "::1", host_port, patience_s=PATIENCE_S)
    assert answer is not None
    assert answer.who == "web"
    networks.cli("rm", "-f", "web", check=True)
    deadline = time.monotonic() + PATIENCE_S
    with socket_of(HOST, protocol, "::1") as free:
        if protocol == "tcp":  # a connection that has ended does not count
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            with contextlib.suppress(OSError):
                free.bind(("::1", host_port))
                break
            assert time.monotonic() < deadline, "the port is still held"
            time.sleep(0.05)


@pytest.mark.host_power("host network")
def test_the_largest_packet_is_that_of_the_way_out(outside):
    words = ("ip", "link", "set", "eth0", "mtu", "1400")
    subprocess.run(["nsenter", "-t", str(outside.pid), "-n", *words], check=True)
    assert in_network_of(outside.pid, bridges.uplink_mtu) == 1400


@pytest.mark.host_power("host network")
def test_the_largest_packet(networks):
    uplink = subprocess.check_output(["ip", "route", "show", "default"], text=True).split()
    link = uplink[uplink.index("dev") + 1] if uplink else "lo"
    usual = Path(f"/sys/class/net/{link}/mtu").read_text().strip() if uplink else "1500"
    networks.cli("network", "create", "-o", f"{MTU_OPTION}=1280", "narrow", check=True)
    sleeper(networks, "usual")
    sleeper(networks, "narrow", "--network", "narrow")
    assert inside(networks, "usual", "cat /sys/class/net/eth0/mtu") == usual
    assert inside(networks, "narrow", "cat /sys/class/net/eth0/mtu") == "1280"


def test_a_container_may_choose_its_hardware_address(networks):
    shown = sleeper(networks, "web", "--mac-address", "02:42:ac:11:00:99")
    assert shown["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == "02:42:ac:11:00:99"
    assert inside(networks, "web", "cat /sys/class/net/eth0/address") == "02:42:ac:11:00:99"
    for wrong in ("02:42", "01:00:5e:00:00:01", "0g:42:ac:11:00:99"):
        refused = networks.cli("run", "--rm", "--mac-address", wrong, "busybox", "true")
        assert refused.returncode == 125
        assert f"invalid MAC address {wrong}" in refused.stderr


def test_addresses_without_a_wish_are_of_the_range(networks):
    words = ("--subnet", "10.207.10.0/24", "--ip-range", "10.207.10.128/30")
    networks.cli("network", "create", *words, "--gateway", "10.207.10.1", "ranged", check=True)
    found = [
        address_of(sleeper(networks, f"r{n}", "--network", "ranged"), "ranged") for n in (0, 1)
    ]
    assert found == ["10.207.10.128", "10.207.10.129"]
    wish = ("--network", "ranged", "--ip", "10.207.10.9")
    assert address_of(sleeper(networks, "wish", *wish), "ranged") == "10.207.10.9"


def test_ranges_of_ports_and_all_that_are_exposed(networks, answering):
    shown = sleeper(networks, "first", "-p", "127.0.0.1:28080-28082:1080-1082")
    for port in (1080, 1081, 1082):
        answering.add(f"first-{port}", pid_of(shown), port)
        answer = ask(HOST, "tcp", "127.0.0.1", 28000 + port - 1000)
        assert answer is not None
        assert answer.who == f"first-{port}"
    # A range for one port: the first that nobody has.
    shown = sleeper(networks, "second", "-p", "127.0.0.1:28080-28085:1080")
    assert published(shown, "1080/tcp") == 28083
    shown = sleeper(networks, "third", "-P", "--expose", "1080", "--expose", "1081/udp")
    answering.add("third", pid_of(shown), 1080)
    answer = ask(HOST, "tcp", "127.0.0.1", published(shown, "1080/tcp"))
    assert answer is not None
    assert answer.who == "third"
    assert published(shown, "1081/udp") > 0
    twice = ("-p", "127.0.0.1:28090:80", "-p", "127.0.0.1:28090:81")
    refused = networks.cli("run", "--rm", *twice, "busybox", "true")
    assert refused.returncode == 125
    assert "Bind for 127.0.0.1:28090 failed: port is already allocated" in refused.stderr


def test_a_udp_flow_goes_to_the_container_that_has_the_port_now(networks, outside, answering):
    """A client that never stops sending, from one port of its own."""
    first = sleeper(networks, "first", "-p", "0:1080/udp")
    port = published(first, "1080/udp")
    answering.add("first", pid_of(first), 1080)
    with socket_of(outside.pid, "udp") as client:
        client.connect((outside.host_address, port))
        client.settimeout(0.05)

        def answers_with(who: str) -> bool:
            with contextlib.suppress(OSError):
                client.send(b"?")
                return client.recv(100).decode().split()[0] == who
            return False

        wait_until(lambda: answers_with("first"))
        networks.cli("rm", "-f", "first", check=True)
        for _ in range(3):  # to the host itself, where nobody has the port
            assert not answers_with("first")
        squatter = sleeper(networks, "squatter")
        assert address_of(squatter) == address_of(first)
        answering.add("squatter", pid_of(squatter), 1080)
        assert not answers_with("squatter")
        second = sleeper(networks, "second", "-p", f"{port}:1080/udp")
        answering.add("second", pid_of(second), 1080)
        wait_until(lambda: answers_with("second"))


def wait_until(holds) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


FIREWALL = """
table inet {name}fw {{
    set refused {{ type ipv4_addr; elements = {{ 203.0.113.9, 203.0.113.10 }} }}
    chain input {{
        type filter hook input priority 10; policy accept;
        ip saddr @refused tcp dport 22 drop
    }}
}}
table ip {name}dk {{
    chain DOCKER {{
        iifname "{name}br" return
        iifname != "{name}br" tcp dport 9 dnat to 203.0.113.2:80
    }}
    chain PREROUTING {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local jump DOCKER
    }}
    chain POSTROUTING {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 203.0.113.0/24 oifname != "{name}br" masquerade
    }}
}}
"""


@pytest.fixture
def other_tables() -> Iterator[list[tuple[str, str]]]:
    """A firewall's table, and one like Docker's."""
    name = f"{leaks.RUN_NAME}x"
    tables = [("inet", f"{name}fw"), ("ip", f"{name}dk")]
    nft("-f", "-", given=FIREWALL.format(name=name))
    yield tables
    for family, table in tables:
        nft("delete", "table", family, table)


def nft(*words: str, given: str = "") -> str:
    done = subprocess.run(["nft", *words], input=given, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.host_power("host network")
def test_after_a_crash_the_rules_are_right_and_those_of_others_untouched(make_lab, other_tables):
    lab = make_lab()
    shown = sleeper(lab, "web", "-p", "127.0.0.1::1080")
    sleeper(lab, "gone", "-p", "127.0.0.1::1080")
    ours = sorted(nft("list", "table", "inet", lab.link_prefix).splitlines())
    theirs = [nft("list", "table", *table) for table in other_tables]
    lab.kill_daemon()
    # What the crash has left half-done, and what somebody has changed meanwhile.
    nft("delete", "table", "inet", lab.link_prefix)
    nft("add", "table", "inet", lab.link_prefix)
    nft("add", "chain", "inet", lab.link_prefix, "stranger")
    lab.start_daemon()
    # Between the rules of two ports the order does not matter.
    assert sorted(nft("list", "table", "inet", lab.link_prefix).splitlines()) == ours
    assert [nft("list", "table", *table) for table in other_tables] == theirs
    lab.cli("rm", "-f", "gone", check=True)
    after = nft("list", "table", "inet", lab.link_prefix)
    assert after.count("dnat ip to") == 1
    assert f"dnat ip to {address_of(shown)}:1080" in after
    assert [nft("list", "table", *table) for table in other_tables] == theirs
    lab.close()
    assert [nft("list", "table", *table) for table in other_tables] == theirs


def test_a_daemon_that_is_killed_gives_no_address_twice_and_loses_none(make_lab):
    """Killed while four clients start containers; the addresses are asked of the kernel."""
    lab = make_lab()
    words = ("network", "create", "--subnet", "10.207.11.0/27", "small")
    lab.cli(*words, check=True)
    body = {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "small"}}
    names = [f"c{number}" for number in range(12)]
    for name in names:
        assert lab.api("POST", f"/containers/create?name={name}", body)[0] == 201

    def start(some: list[str]) -> None:
        for name in some:
            with contextlib.suppress(Exception):  # the daemon is killed in the middle of one
                lab.api("POST", f"/containers/{name}/start")

    clients = [threading.Thread(target=start, args=(names[n::4],)) for n in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: len(lab.api("GET", "/containers/json")[1]) >= 3)
    lab.kill_daemon()
    for client in clients:
        client.join()
    lab.start_daemon()
    for name in names:
        status, answer = lab.api("POST", f"/containers/{name}/start")
        assert status in (204, 304), answer
    own = [inside(lab, name, "ip -4 -o address show eth0").split()[3] for name in names]
    assert sorted(own) == sorted(f"10.207.11.{number}/27" for number in range(2, 14))
    lab.remove_containers()
    again = [address_of(sleeper(lab, f"d{n}", "--network", "small"), "small") for n in range(2)]
    assert again == ["10.207.11.2", "10.207.11.3"]
