"""Networks that share a link of the host, and how a gateway lets packets in."""

import contextlib
import subprocess

import pytest

from tests import networking
from tests.lab import Lab
from tests.networking import SILENCE_S, Answering, ask, pid_of, sleeper
from tests.skips import makes_links

pytestmark = [pytest.mark.root, pytest.mark.host_power("host network")]

MODE = "com.docker.network.bridge.gateway_mode_ipv4"
IFNAME = "com.docker.network.endpoint.ifname"


def create(lab: Lab, name: str, *words: str) -> None:
    done = lab.cli("network", "create", *words, name)
    assert done.returncode == 0, done.stderr


def end_of(shown: dict, network: str) -> dict:
    return shown["NetworkSettings"]["Networks"][network]


def inside(lab: Lab, name: str, command: str) -> str:
    return lab.cli("exec", name, "sh", "-c", command, check=True).stdout.strip()


def on_lan(outside: networking.Outside) -> tuple[str, ...]:
    """The words for a network of the neighbours of `outside`, which have room for four."""
    subnet = f"{outside.host_address.rpartition('.')[0]}.0/24"
    subprocess.run(
        ["nsenter", "-t", str(outside.pid), "-n", "ip", "address", "add",
         f"{outside.host_address.rpartition('.')[0]}.254/24", "dev", "eth0"],
        check=True,
    )  # fmt: skip
    gateway = f"{outside.host_address.rpartition('.')[0]}.254"
    return ("-d", "macvlan", "--subnet", subnet, "--gateway", gateway, "-o",
            f"parent={outside.link}")  # fmt: skip


def test_a_macvlan_is_a_neighbour_on_the_lan(networks, outside):
    if not makes_links("macvlan"):
        pytest.skip("needs macvlan")
    create(networks, "lan", *on_lan(outside))
    base = outside.host_address.rpartition(".")[0]
    one = sleeper(networks, "one", "--network", "lan", "--ip", f"{base}.77", "-p", "1080")
    two = sleeper(networks, "two", "--network", "lan")
    assert end_of(one, "lan")["Gateway"] == f"{base}.254"
    assert one["NetworkSettings"]["Ports"] == {"1080/tcp": None}  # no port of the host leads there
    with contextlib.closing(Answering()) as answering:  # its sockets keep the old network alive
        answering.add("one", pid_of(one), 1080)
        for pid in (outside.pid, pid_of(two)):
            answer = ask(pid, "tcp", f"{base}.77", 1080)
            assert answer is not None
            assert answer.who == "one"
    assert inside(networks, "two", "nslookup one 127.0.0.11 2>&1").count(f"{base}.77")
    assert inside(networks, "two", "ip route | head -1") == f"default via {base}.254 dev eth0"
    # The address has the same hardware address as before, and the kernel may still have the old.
    networks.cli("restart", "-t", "0", "one", "two", check=True)
    again = networks.api("GET", "/containers/one/json")[1]
    assert end_of(again, "lan")["MacAddress"] == end_of(one, "lan")["MacAddress"]
    # Also while it runs, beside a bridge.
    sleeper(networks, "other")
    networks.cli("network", "connect", "lan", "other", check=True)
    assert "eth1" in inside(networks, "other", "ip link")
    networks.cli("network", "disconnect", "lan", "other", check=True)
    assert "eth1" not in inside(networks, "other", "ip link")


def test_a_macvlan_of_a_shared_network_ends_with_its_owner(networks, outside):
    if not makes_links("macvlan"):
        pytest.skip("needs macvlan")
    create(networks, "lan", *on_lan(outside))
    sleeper(networks, "owner", "--network", "lan")
    sleeper(networks, "sharer", "--network", "container:owner")
    networks.cli("stop", "-t", "0", "owner", check=True)
    assert "eth0" not in inside(networks, "sharer", "ip link")


@pytest.mark.parametrize(
    ("driver", "words", "answer"),
    [
        ("macvlan", ("parent=nosuchlink",), "no such link"),
        ("macvlan", ("parent=lo",), "loopback interface is not a valid macvlan parent link"),
        ("ipvlan", ("parent=lo",), "loopback interface is not a valid ipvlan parent link"),
        ("ipvlan", ("ipvlan_mode=bridge",), "it must be l2, l3 or l3s"),
        ("overlay", (), 'plugin "overlay" not found'),
    ],
)
def test_networks_that_cannot_be(networks, driver, words, answer):
    options = [word for option in words for word in ("-o", option)]
    done = networks.cli("network", "create", "-d", driver, *options, "odd")
    assert done.returncode == 1
    assert answer in done.stderr


def test_a_link_is_shared_by_one_network_and_in_ways_the_kernel_knows(networks, outside):
    base = outside.host_address.rpartition(".")[0]
    if makes_links("macvlan"):
        create(networks, "lan", *on_lan(outside))
        again = networks.cli("network", "create", "-d", "macvlan", "--subnet", "198.19.255.0/24",
                             "-o", f"parent={outside.link}", "again")  # fmt: skip
        assert f"network lan is already using parent interface {outside.link}" in again.stderr
        networks.cli("network", "rm", "lan", check=True)
        assert outside.link in subprocess.check_output(["ip", "link"], text=True)
    words = ("network", "create", "-d", "ipvlan", "--subnet", f"{base}.0/24", "-o",
             f"parent={outside.link}", "ip")  # fmt: skip
    done = networks.cli(*words)
    if makes_links("ipvlan"):
        assert done.returncode == 0, done.stderr
        shown = sleeper(networks, "one", "--network", "ip", "--ip", f"{base}.78")
        assert end_of(shown, "ip")["MacAddress"] == ""
    else:
        assert "failed to create the ipvlan port: operation not supported" in done.stderr


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_without_a_parent_it_leads_nowhere(networks, answering, driver):
    create(networks, "alone", "-d", driver)
    assert networks.api("GET", "/networks/alone")[1]["Internal"]
    one = sleeper(networks, "one", "--network", "alone")
    two = sleeper(networks, "two", "--network", "alone")
    answering.add("one", pid_of(one), 1080)
    address = end_of(one, "alone")["IPAddress"]
    assert ask(pid_of(two), "tcp", address, 1080) is not None
    subnet = networks.api("GET", "/networks/alone")[1]["IPAM"]["Config"][0]["Subnet"]
    assert subnet not in subprocess.check_output(["ip", "route"], text=True)
    assert "default" not in inside(networks, "one", "ip route")


def test_ports_of_a_routed_network_are_reached_at_the_container(networks, outside, answering):
    create(networks, "routed", "-o", f"{MODE}=routed")
    shown = sleeper(networks, "web", "--network", "routed", "-p", "8080:1080")
    assert shown["NetworkSettings"]["Ports"] == {
        "1080/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]
    }
    for port in (1080, 1081):
        answering.add("web", pid_of(shown), port)
    address = end_of(shown, "routed")["IPAddress"]
    answer = ask(outside.pid, "tcp", address, 1080)
    assert answer is not None
    assert answer.seen == outside.address
    assert ask(outside.pid, "tcp", address, 1081, patience_s=SILENCE_S) is None
    assert ask(outside.pid, "tcp", outside.host_address, 8080, patience_s=SILENCE_S) is None
    answering.add("outside", outside.pid, 1099)
    back = ask(pid_of(shown), "tcp", outside.address, 1099)
    assert back is not None
    assert back.seen == address  # with nat it would be the host's


def test_every_port_of_an_unprotected_network_is_reached(networks, outside, answering):
    create(networks, "open", "-o", f"{MODE}=nat-unprotected")
    create(networks, "usual")
    web = sleeper(networks, "web", "--network", "open")
    closed = sleeper(networks, "closed", "--network", "usual")
    for name, shown, network in (("web", web, "open"), ("closed", closed, "usual")):
        answering.add(name, pid_of(shown), 1080)
        patience_s = networking.PATIENCE_S if name == "web" else SILENCE_S
        address = end_of(shown, network)["IPAddress"]
        answer = ask(outside.pid, "tcp", address, 1080, patience_s=patience_s)
        assert (answer is not None) == (name == "web")
    # The networks of containers stay apart.
    address = end_of(web, "open")["IPAddress"]
    assert ask(pid_of(closed), "tcp", address, 1080, patience_s=SILENCE_S) is None
    answering.add("outside", outside.pid, 1099)
    back = ask(pid_of(web), "tcp", outside.address, 1099)
    assert back is not None
    assert back.seen == outside.host_address


def test_an_isolated_network_does_not_reach_the_host(networks):
    refused = networks.cli("network", "create", "-o", f"{MODE}=isolated", "apart")
    assert "can only be used for an internal network" in refused.stderr
    create(networks, "apart", "--internal", "-o", f"{MODE}=isolated")
    sleeper(networks, "one", "--network", "apart")
    shown = networks.api("GET", "/networks/apart")[1]
    gateway = shown["IPAM"]["Config"][0]["Gateway"]
    addresses = subprocess.check_output(["ip", "-4", "address"], text=True)
    assert f"inet {gateway}/" not in addresses


def test_names_and_more_addresses_of_an_interface(networks):
    create(networks, "named", "-o", "com.docker.network.container_iface_prefix=net")
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "100000"],
        "HostConfig": {"NetworkMode": "named"},
        "NetworkingConfig": {
            "EndpointsConfig": {
                "named": {"IPAMConfig": {"LinkLocalIPs": ["169.254.34.68", "fe80::3468"]}},
                "bridge": {"DriverOpts": {IFNAME: "wan0"}},
            }
        },
    }
    status, made = networks.api("POST", "/containers/create?name=web", body)
    assert status == 201, made
    networks.cli("start", "web", check=True)
    links = inside(networks, "web", "ip address")
    assert "net0" in links
    assert "wan0" in links
    assert "169.254.34.68/16" in links
    assert "fe80::3468/64" in links
    shown = networks.api("GET", "/containers/web/json")[1]
    assert end_of(shown, "named")["IPAMConfig"] == {"LinkLocalIPs": ["169.254.34.68", "fe80::3468"]}
    sleeper(networks, "other", "--network", "named")
    asked = {"Container": "other", "EndpointConfig": {"DriverOpts": {IFNAME: "late0"}}}
    assert networks.api("POST", "/networks/bridge/connect", asked)[0] == 200
    assert "late0" in inside(networks, "other", "ip link")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({"DriverOpts": {IFNAME: "much-too-long-a-name"}}, "a link's name"),
        ({"DriverOpts": {IFNAME: "a/b"}}, "a link's name"),
        ({"IPAMConfig": {"LinkLocalIPs": ["192.0.2.1"]}}, "invalid link local IP address"),
        ({"IPAMConfig": {"LinkLocalIPs": ["nonsense"]}}, "nonsense"),
    ],
)
def test_names_and_addresses_that_cannot_be(networks, endpoint, words):
    body = {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"bridge": endpoint}}}
    status, answer = networks.api("POST", "/containers/create", body)
    assert status == 400, answer
    assert words in answer["message"]


def test_a_container_without_network_gets_one_after_it_has_left_that(networks):
    create(networks, "usual")
    sleeper(networks, "alone", "--network", "none")
    for network, container, words in (
        ("usual", "alone", "private (none) mode"),
        ("host", "alone", "connected to host network"),
    ):
        done = networks.cli("network", "connect", network, container)
        assert words in done.stderr
    networks.cli("network", "disconnect", "none", "alone", check=True)
    networks.cli("network", "connect", "usual", "alone", check=True)
    assert "eth0" in inside(networks, "alone", "ip link")
    assert "private (none) mode" in networks.cli("network", "connect", "none", "alone").stderr
    networks.cli("network", "disconnect", "usual", "alone", check=True)
    networks.cli("network", "connect", "none", "alone", check=True)
    networks.cli("restart", "-t", "0", "alone", check=True)
    assert "eth0" not in inside(networks, "alone", "ip link")


def test_containers_are_found_by_the_beginning_of_a_networks_id(networks):
    create(networks, "usual")
    sleeper(networks, "web", "--network", "usual")
    network_id = networks.api("GET", "/networks/usual")[1]["Id"]
    for word, names in ((network_id[:12], "web\n"), ("usual", "web\n"), ("usua", "")):
        words = ("ps", "--filter", f"network={word}", "--format", "{{.Names}}")
        assert networks.cli(*words, check=True).stdout == names
    assert networks.api("GET", "/networks/")[1] == networks.api("GET", "/networks")[1]
