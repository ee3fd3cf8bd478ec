"""Bridge networks: containers that reach each other, the host, and nobody else."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.networks import bridges
from tests.servers import ask, create, fetch, inside, start

pytestmark = pytest.mark.root


@pytest.mark.host_power("host network")
def test_containers_on_the_default_network_reach_each_other_and_the_host(networks):
    lab = networks
    first, second = start(lab, "first"), start(lab, "second")
    assert fetch(first) == "first"
    assert ask(lab, "first", second) == "second"
    gateway = lab.api("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
    with socket.create_server((gateway, 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        done = lab.cli("exec", "first", "sh", "-c", f"echo hi | timeout 3 nc {gateway} {port}")
        assert done.returncode in (0, 143)  # nc stays, for nobody has hung up
        connection, peer = server.accept()
        with connection:
            assert peer[0] == first
            assert connection.recv(10) == b"hi\n"


@pytest.mark.host_power("host network")
def test_networks_are_kept_apart(networks):
    lab = networks
    create(lab, "blue")
    create(lab, "green")
    start(lab, "b1", "--network", "blue")
    green = start(lab, "g1", "--network", "green")
    default = start(lab, "d1")
    assert ask(lab, "b1", green) == ""
    assert ask(lab, "b1", default) == ""
    assert ask(lab, "d1", green) == ""
    assert fetch(green) == "g1"


@pytest.mark.host_power("host network")
def test_a_published_port_is_reachable_from_everywhere_but_twice(networks):
    lab = networks
    create(lab, "blue")
    address = start(lab, "web", "-p", "0:80")
    (place,) = lab.cli("port", "web", "80").stdout.split()
    port = int(place.rpartition(":")[2])
    own = subprocess.check_output(["hostname", "-I"], text=True).split()[0]
    assert fetch("127.0.0.1", port) == "web"
    assert fetch(own, port) == "web"
    start(lab, "b1", "--network", "blue")
    start(lab, "d1")
    gateway = lab.api("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
    assert ask(lab, "b1", own, port) == "web"
    assert ask(lab, "d1", gateway, port) == "web"
    assert ask(lab, "web", gateway, port) == "web"  # to itself, by way of the host
    assert ask(lab, "d1", address) == "web"
    refused = lab.cli("run", "--rm", "-p", f"{port}:80", "busybox", "true")
    assert refused.returncode == 125
    web = lab.api("GET", "/containers/web/json")[1]["Id"]
    assert f"port is already allocated: it is published by container {web[:12]}" in refused.stderr
    shown = lab.cli("ps", "--filter", "name=web", "--format", "{{.Ports}}").stdout
    assert shown == f"0.0.0.0:{port}->80/tcp\n"
    lab.cli("rm", "-f", "web", check=True)
    with pytest.raises(ConnectionRefusedError):
        fetch("127.0.0.1", port)


def test_containers_by_their_ports(networks):
    lab = networks
    start(lab, "web", "-p", "127.0.0.1::80", "--expose", "9000-9001/udp")
    start(lab, "other", "--expose", "90")
    port = lab.cli("port", "web", "80").stdout.strip().rpartition(":")[2]
    found = {
        asked: lab.cli("ps", "--filter", asked, "--format", "{{.Names}}").stdout.split()
        for asked in (
            "expose=80", "expose=70-90/tcp", "expose=9001/udp", "expose=9001", f"publish={port}",
            "publish=80", f"publish={port}/udp",
        )
    }  # fmt: skip
    assert found == {
        "expose=80": ["web"],
        "expose=70-90/tcp": ["other", "web"],
        "expose=9001/udp": ["web"],
        "expose=9001": [],
        f"publish={port}": ["web"],
        "publish=80": [],
        f"publish={port}/udp": [],
    }


@pytest.mark.host_power("host network")
def test_a_port_that_a_process_has_is_an_error_that_names_it(networks):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = networks.cli("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
        assert done.returncode == 125
        assert f"Bind for 127.0.0.1:{port} failed: port is already allocated" in done.stderr
        assert "(pid " in done.stderr
        done = networks.cli("run", "--network", "host", "-p", str(port), "busybox", "true")
        assert done.returncode == 125
        assert f"port {port}/tcp of the host is in use by" in done.stderr


def test_udp(networks):
    lab = networks
    start(lab, "echo", "-p", "127.0.0.1::53/udp")
    port = int(lab.cli("port", "echo", "53/udp").stdout.rpartition(":")[2])
    pid = lab.api("GET", "/containers/echo/json")[1]["State"]["Pid"]
    program = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 53)); "
    program += "print(flush=True); s.sendto(*s.recvfrom(100))"
    enter = ["nsenter", "-t", str(pid), "-n", sys.executable, "-c", program]
    with (
        subprocess.Popen(enter, stdout=subprocess.PIPE) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        assert server.stdout.readline() == b"\n"
        client.settimeout(5)
        client.connect(("127.0.0.1", port))
        client.send(b"hello")
        assert client.recv(10) == b"hello"


def test_another_containers_network_is_shared(networks):
    lab = networks
    start(lab, "owner")
    done = lab.cli(
        *("run", "--rm", "--network", "container:owner", "busybox"),
        *("sh", "-c", "nc 127.0.0.1 80 < /dev/null; cat /etc/hostname"),
    )
    owner = lab.api("GET", "/containers/owner/json")[1]["Id"]
    assert done.stdout.split() == ["owner", owner[:12]]
    lab.cli("stop", "-t", "0", "owner", check=True)
    refused = lab.cli("run", "--rm", "--network", "container:owner", "busybox", "true")
    assert refused.returncode == 125
    assert "cannot join network of a non running container" in refused.stderr


@pytest.mark.host_power("host network")
def test_an_internal_network_leads_nowhere_else(networks):
    lab = networks
    create(lab, "vault", Internal=True)
    first, second = start(lab, "v1", "--network", "vault"), start(lab, "v2", "--network", "vault")
    assert ask(lab, "v1", second) == "v2"
    assert "default" not in inside(lab, "v1", "ip route")
    default = start(lab, "d1")
    assert ask(lab, "v1", default) == ""
    assert fetch(first) == "v1"


def test_addresses_are_given_in_order_and_kept_apart(networks):
    lab = networks
    subnet = {"Subnet": "10.207.9.0/29", "Gateway": "10.207.9.1"}
    create(lab, "small", IPAM={"Config": [subnet]})
    assert start(lab, "a1", "--network", "small", "--ip", "10.207.9.3") == "10.207.9.3"
    assert start(lab, "b1", "--network", "small") == "10.207.9.2"
    assert start(lab, "c1", "--network", "small") == "10.207.9.4"
    refused = lab.cli("run", "--rm", "--network", "small", "--ip", "10.207.9.3", "busybox", "true")
    assert "Address already in use" in refused.stderr
    for _ in range(2):
        start(lab, f"dd{_}", "--network", "small")
    full = lab.cli("run", "--rm", "--network", "small", "busybox", "true")
    assert "no available IPv4 addresses" in full.stderr
    lab.cli("stop", "-t", "0", "b1", check=True)
    assert start(lab, "e1", "--network", "small") == "10.207.9.2"


def test_a_running_container_is_connected_and_disconnected(networks):
    lab = networks
    create(lab, "blue")
    start(lab, "web")
    blue = start(lab, "b1", "--network", "blue")
    assert ask(lab, "web", blue) == ""
    body = {"Container": "web", "EndpointConfig": {"Aliases": ["site"]}}
    assert lab.api("POST", "/networks/blue/connect", body)[0] == 200
    assert ask(lab, "web", blue) == "b1"
    shown = lab.api("GET", "/containers/web/json")[1]["NetworkSettings"]["Networks"]
    assert shown["blue"]["Aliases"] == ["site"]
    assert ask(lab, "b1", shown["blue"]["IPAddress"]) == "web"
    assert lab.api("POST", "/networks/blue/connect", body)[0] == 403
    assert lab.api("DELETE", "/networks/blue")[0] == 403
    assert lab.api("POST", "/networks/bridge/disconnect", {"Container": "web"})[0] == 200
    assert inside(lab, "web", "ip route | grep -c default") == "1"
    assert lab.api("POST", "/networks/blue/disconnect", {"Container": "web"})[0] == 200
    assert inside(lab, "web", "ls /sys/class/net") == "lo"


@pytest.mark.host_power("host network")
def test_connections_outlive_the_daemon_and_what_belongs_to_nobody_goes(make_lab):
    lab = make_lab()
    create(lab, "blue")
    start(lab, "gone")
    options = ("--network", "blue", "-p", "127.0.0.1::80")
    script = "nc -l -p 80 -e cat; sleep 1000"
    lab.cli("run", "-d", "--name", "stays", *options, "busybox", "sh", "-c", script, check=True)
    port = int(lab.cli("port", "stays", "80").stdout.rpartition(":")[2])
    pid = lab.api("GET", "/containers/gone/json")[1]["State"]["Pid"]
    before = lab.api("GET", "/containers/stays/json")[1]["NetworkSettings"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        file = connection.makefile("rw")

        def echo(word: str) -> str:
            file.write(f"{word}\n")
            file.flush()
            return str(file.readline())

        assert echo("one") == "one\n"
        lab.kill_daemon()
        Path(f"/proc/{pid}").exists() and subprocess.run(["kill", "-9", str(pid)], check=True)
        leftover = f"{lab.link_prefix}v{'deadbeef'[: bridges.cable_digits(lab.link_prefix)]}"
        kind = ("type", "veth", "peer", "name", f"{lab.link_prefix}p")
        subprocess.run(["ip", "link", "add", leftover, *kind], check=True)
        subprocess.run(["nft", "flush", "table", "inet", lab.link_prefix], check=True)
        assert echo("two") == "two\n"
        lab.start_daemon()
        assert echo("three") == "three\n"
    after = lab.api("GET", "/containers/stays/json")[1]["NetworkSettings"]
    assert after == before
    assert not Path(f"/sys/class/net/{leftover}").exists()
    rules = subprocess.run(
        ["nft", "list", "table", "inet", lab.link_prefix],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"tcp dport {port} dnat ip to" in rules
    again = start(lab, "again")
    assert again == "10.208.0.2" or again.endswith(".2")  # the address of the one that is gone


def test_ipv6_when_asked(networks):
    lab = networks
    create(lab, "six", EnableIPv6=True)
    start(lab, "a1", "--network", "six", "-p", "0:80")
    start(lab, "b1", "--network", "six")
    shown = lab.api("GET", "/containers/a1/json")[1]["NetworkSettings"]["Networks"]["six"]
    address = shown["GlobalIPv6Address"]
    assert address.startswith("fd")
    assert "1 packets received" in inside(lab, "b1", f"ping -c1 -w5 {address}")


@pytest.mark.host_power("host network")
def test_the_command_line_makes_lists_and_removes_networks(networks):
    lab = networks
    options = ("--subnet", "10.207.8.0/24", "--gateway", "10.207.8.9", "--label", "a=b")
    made = lab.cli("network", "create", *options, "blue", check=True).stdout.strip()
    listed = lab.cli("network", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}}").stdout
    assert f"{made[:12]} blue bridge" in listed.splitlines()
    form = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    assert lab.cli("network", "inspect", "-f", form, "blue").stdout == "10.207.8.9\n"
    start(lab, "web")
    lab.cli(
        "network", "connect", "--ip", "10.207.8.7", "--alias", "site", "blue", "web", check=True
    )
    assert fetch("10.207.8.7") == "web"
    refused = lab.cli("network", "rm", "blue")
    assert refused.returncode == 1
    assert "active endpoints" in refused.stderr
    lab.cli("network", "disconnect", "blue", "web", check=True)
    pruned = lab.cli("network", "prune", "-f", check=True).stdout
    assert pruned == "Deleted Networks:\nblue\n\n"
    assert lab.cli("network", "rm", "-f", "blue").returncode == 0
