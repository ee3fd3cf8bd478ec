"""Containers have a network beside every firewall that passes nothing on, whoever starts first."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import firewalls, hosts
from tests.firewalls import Docker, wait_until
from tests.hosts import Host
from tests.integration.networks.test_host_routing import (
    FIRST,
    IPV4,
    IPV6,
    answering,
    end_of,
    host,
    is_routed,
    lab_on,
    pid_of,
    six,
    sleeper,
)
from tests.lab import Lab
from tests.networking import SILENCE_S, Answering, ask

__all__ = ["answering", "host", "lab_on"]
pytestmark = pytest.mark.root

_NFT_LAST = """chain forward { type filter hook forward priority 0; policy accept;
ct state established accept; ip daddr 203.0.113.0/24 drop; ct state new counter reject; }"""
_NFT_LATER = """chain rest { log prefix "no" ; drop; };
    chain forward { type filter hook forward priority 10; policy accept; jump rest; }"""
FIREWALLS: dict[str, Callable[[Host], object]] = {
    "iptables": lambda host: firewalls.iptables(host, "nft", "-P FORWARD DROP"),
    "iptables-legacy": lambda host: firewalls.iptables(host, "legacy", "-P FORWARD DROP"),
    "iptables-last": lambda host: firewalls.iptables(
        host, "nft", "-N rest", "-A rest -j LOG", "-A rest -j DROP", "-A FORWARD -j rest"
    ),
    "iptables-reject": lambda host: firewalls.iptables(host, "legacy", "-A FORWARD -j REJECT"),
    "iptables-mangle": lambda host: firewalls.iptables(
        host, "nft", "-t mangle -A FORWARD -j DROP", undo=("-t mangle -F",)
    ),
    "nft": lambda host: firewalls.nft(
        host, "chain forward { type filter hook forward priority 0; policy drop; }"
    ),
    "nft-last": lambda host: firewalls.nft(host, _NFT_LAST),
    "nft-later": lambda host: firewalls.nft(host, _NFT_LATER),
    "nft-as-iptables": lambda host: firewalls.Rules(
        host,
        [["nft", "table ip filter { set s { type ipv4_addr; }; chain FORWARD { "
          "type filter hook forward priority 0; policy drop; ip saddr @s drop; }; }"]],
        [["nft", "delete table ip filter"]],
    ),
    "ufw": firewalls.Ufw,
    "firewalld": firewalls.Firewalld,
}  # fmt: skip


@pytest.fixture(params=FIREWALLS)
def firewall(request, host: Host) -> Iterator[firewalls.Ufw]:
    with contextlib.closing(FIREWALLS[request.param](host)) as found:
        yield found


def web(lab: Lab, answering: Answering) -> int:
    """A container with a published port, on a network of both versions of IP."""
    shown = sleeper(lab, "web", *six(lab), "-p", "8080:1080")
    answering.add("web", pid_of(shown), FIRST, "::")
    near = sleeper(lab, "near", "--network", "six")
    answering.add("near", pid_of(near), FIRST, "::")
    return pid_of(shown)


def assert_network(host: Host, lab: Lab, pid: int, *, patience_s: float = 30) -> None:
    """A container reaches LAN 2, and LAN 1 its published port; its neighbour, and no other."""
    one, two = host.lans
    near = end_of(lab.api("GET", "/containers/near/json")[1])
    for there, here, address in (
        (two.address, one.host_address, near["IPAddress"]),
        (two.address_6, one.host_address_6, near["GlobalIPv6Address"]),
    ):
        for protocol in ("udp", "tcp"):
            answer = ask(pid, protocol, there, FIRST, patience_s=patience_s)
            assert answer is not None, (there, host.rules())
            assert answer.who == "lan2"
        answer = ask(one.pid, "tcp", here, 8080, patience_s=patience_s)
        assert answer is not None, (here, host.rules())
        assert answer.who == "web"
        assert ask(pid, "tcp", address, FIRST, patience_s=patience_s).who == "near"
        assert ask(one.pid, "udp", address, FIRST, patience_s=SILENCE_S) is None


def test_a_container_beside_a_firewall(firewall, host, answering):
    firewall.start()
    with hosts.running_lab_on(host) as lab:
        pid = web(lab, answering)
        assert_network(host, lab, pid, patience_s=5)  # the first packet finds its way
        assert not is_routed(host, IPV4)
        assert not is_routed(host, IPV6)
        firewall.restart()
        assert_network(host, lab, pid)
        firewall.stop()
        assert_network(host, lab, pid)
        firewall.start()
        assert_network(host, lab, pid)
        assert not is_routed(host, IPV4)
        lab.remove_containers()
        lab.api("POST", "/networks/prune", {})
        lab.stop_daemon()
        assert lab.link_prefix not in host.rules()


def test_a_firewall_that_is_started_while_containers_run(firewall, host, lab_on, answering):
    pid = web(lab_on, answering)
    assert_network(host, lab_on, pid)
    firewall.start()
    assert_network(host, lab_on, pid)
    lab_on.remove_containers()
    lab_on.kill_daemon()
    hosts.undo(host, lab_on)
    assert lab_on.link_prefix not in host.rules()


@pytest.fixture
def firewalld(host: Host) -> Iterator[firewalls.Firewalld]:
    """firewalld's bus, which a lab that starts later knows."""
    with contextlib.closing(firewalls.Firewalld(host)) as found:
        yield found


def trusted_links(firewalld: firewalls.Firewalld) -> list[str]:
    return firewalld.command("--zone=trusted", "--list-interfaces").split()


def network_with_container(lab: Lab, firewalld: firewalls.Firewalld, name: str) -> str:
    """Make a network with one container; return its link, once firewalld trusts it."""
    before = set(trusted_links(firewalld))
    lab.cli("network", "create", name, check=True)
    sleeper(lab, name, "--network", name)
    wait_until(lambda: set(trusted_links(firewalld)) > before, f"the link of {name} is untrusted")
    (link,) = set(trusted_links(firewalld)) - before
    return link


def test_a_link_that_left_the_zone_of_firewalld_before_its_network_ends(firewalld, lab_on):
    """An administrator moved it: firewalld refuses to take it out of the zone a second time."""
    firewalld.start()
    moved = network_with_container(lab_on, firewalld, "moved")
    firewalld.command("--zone=drop", f"--change-interface={moved}")
    assert network_with_container(lab_on, firewalld, "other") != moved
    for name in ("moved", "other"):
        lab_on.cli("rm", "-f", name, check=True)
        lab_on.cli("network", "rm", name, check=True)
    wait_until(lambda: not trusted_links(firewalld), "the other link is still in the zone")
    assert "firewall-cmd failed" not in Path(lab_on.folder, "labkitd.log").read_text()


def test_rules_that_all_go_come_back(host, lab_on, answering):
    """`nft flush ruleset` is how nftables.service begins: labkit's own table goes with the rest."""
    pid = web(lab_on, answering)
    host.run("nft", firewalls.FLUSHED)
    assert_network(host, lab_on, pid)


def test_what_an_administrator_drops_stays_dropped(host, answering):
    """Labkit's way stands after the rules that say more than `all the rest`."""
    one, two = host.lans
    firewalls.nft(host, _NFT_LAST.replace("203.0.113.0/24", two.address)).start()
    firewalls.iptables(host, "nft", "-P FORWARD DROP", "-A FORWARD -p udp -o eth0 -j DROP").start()
    with hosts.running_lab_on(host) as lab:
        pid = pid_of(sleeper(lab, "web", *six(lab)))
        assert ask(pid, "tcp", one.address, FIRST) is not None
        assert ask(pid, "udp", one.address, FIRST, patience_s=SILENCE_S) is None
        assert ask(pid, "tcp", two.address, FIRST, patience_s=SILENCE_S) is None


def test_a_host_that_lets_nothing_in(host, lab_on, answering):
    """Published ports are passed on, names are answered inside: nothing needs the input hook."""
    # Without neighbour discovery, which is ICMPv6, no host has IPv6.
    firewalls.iptables(host, "nft", "-P INPUT DROP", "-A INPUT -p ipv6-icmp -j ACCEPT").start()
    pid = web(lab_on, answering)
    assert_network(host, lab_on, pid)
    found = lab_on.cli("exec", "web", "nslookup", "near", "127.0.0.11")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.fixture
def docker(host: Host) -> Iterator[Docker]:
    with contextlib.closing(Docker(host)) as found:
        yield found


def docker_web(docker: Docker, answering: Answering) -> tuple[int, str]:
    """A container of Docker's with a published port: its process and address."""
    docker.load_busybox()
    words = ("run", "-d", "--name", "dweb", "-p", "8090:1080", "busybox", "sleep", "100000")
    docker.run(*words)
    pid = docker.pid_of("dweb")
    answering.add("dweb", pid, FIRST)
    return pid, docker.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "dweb")


def assert_both(host: Host, lab: Lab, pid: int, docker_pid: int, docker_address: str) -> None:
    one, two = host.lans
    assert_network(host, lab, pid)
    assert ask(docker_pid, "udp", two.address, FIRST).who == "lan2"
    assert ask(one.pid, "tcp", one.host_address, 8090).who == "dweb"
    # Each reaches what the other has published, and nothing else.
    assert ask(pid, "tcp", one.host_address, 8090).who == "dweb"
    assert ask(docker_pid, "tcp", one.host_address, 8080).who == "web"
    assert ask(pid, "udp", docker_address, FIRST, patience_s=SILENCE_S) is None
    mine = end_of(lab.api("GET", "/containers/web/json")[1])["IPAddress"]
    assert ask(docker_pid, "udp", mine, FIRST, patience_s=SILENCE_S) is None


def test_docker_first(docker, host, answering):
    docker.start()
    before = host.rules()
    docker_pid, docker_address = docker_web(docker, answering)
    with hosts.running_lab_on(host) as lab:
        pid = web(lab, answering)
        assert_both(host, lab, pid, docker_pid, docker_address)
        assert not is_routed(host, IPV4)
        docker.run("rm", "-f", "dweb")
        docker.stop()
        assert_network(host, lab, pid)
        docker.start()
        assert_both(host, lab, pid, *docker_web(docker, answering))
        docker.run("rm", "-f", "dweb")
        lab.remove_containers()
        lab.api("POST", "/networks/prune", {})
        lab.stop_daemon()
        assert lab.link_prefix not in host.rules()
        assert before.count("DOCKER-USER") == host.rules().count("DOCKER-USER")


def test_docker_later(docker, host, lab_on, answering):
    pid = web(lab_on, answering)
    assert host.sysctl("net/ipv4/ip_forward") == "0"
    docker.start()
    assert host.sysctl("net/ipv4/ip_forward") == "1"
    docker_pid, docker_address = docker_web(docker, answering)
    assert_both(host, lab_on, pid, docker_pid, docker_address)
    assert not is_routed(host, IPV4)
    lab_on.remove_containers()
    lab_on.api("POST", "/networks/prune", {})
    lab_on.stop_daemon()
    one, two = host.lans
    assert host.sysctl("net/ipv4/ip_forward") == "1"
    wait_until(lambda: lab_on.link_prefix not in host.rules(), "rules were left behind")
    assert ask(docker_pid, "udp", two.address, FIRST).who == "lan2"
    assert ask(one.pid, "tcp", one.host_address, 8090).who == "dweb"
