"""Neighbours of a container that is started again: who has an address, and since when."""

import pytest

from tests.lab import Lab
from tests.servers import ask, create, fetch, inside, start

pytestmark = pytest.mark.root


def serve_again(lab: Lab, name: str) -> None:
    inside(lab, name, "until nc -w 1 127.0.0.1 80 < /dev/null; do :; done")


@pytest.mark.parametrize("network", ["bridge", "blue"])
def test_a_server_that_was_restarted_is_reached_at_once(networks, network):
    lab = networks
    if network != "bridge":
        create(lab, network)
    address = start(lab, "server", "--network", network)
    start(lab, "client", "--network", network)
    assert ask(lab, "client", address) == "server"
    lab.cli("restart", "-t", "0", "server", check=True)
    serve_again(lab, "server")
    assert ask(lab, "client", address) == "server"
    lab.cli("rm", "-f", "server", check=True)
    assert start(lab, "another", "--network", network) == address
    assert ask(lab, "client", address) == "another"


def test_a_server_that_was_connected_again_is_reached_at_once(networks):
    lab = networks
    create(lab, "blue", IPAM={"Config": [{"Subnet": "10.231.77.0/24"}]})
    address = start(lab, "server", "--network", "blue", "--ip", "10.231.77.9")
    start(lab, "client", "--network", "blue")
    assert ask(lab, "client", address) == "server"
    lab.cli("network", "disconnect", "blue", "server", check=True)
    lab.cli("network", "connect", "--ip", address, "blue", "server", check=True)
    assert ask(lab, "client", address) == "server"


@pytest.mark.host_power("host network")
def test_a_restart_takes_the_cable_from_those_that_share_the_network(networks):
    lab = networks
    address = start(lab, "first", "-p", "127.0.0.1::80")
    lab.cli("run", "-d", "--name", "second", "--network", "container:first", "busybox",
            *("sleep", "600"), check=True)  # fmt: skip
    lab.cli("stop", "-t", "0", "first", check=True)
    assert address not in inside(lab, "second", "ip addr")
    assert start(lab, "stranger") == address
    lab.cli("start", "first", check=True)
    serve_again(lab, "first")
    port = int(lab.cli("port", "first", "80").stdout.rpartition(":")[2])
    assert fetch("127.0.0.1", port) == "first"
    assert fetch(address) == "stranger"
    lab.cli("restart", "-t", "0", "second", check=True)
    assert "eth0" in inside(lab, "second", "ip addr")


def test_who_shares_a_network_has_its_host_name(networks):
    lab = networks
    lab.cli("run", "-d", "--name", "first", "-h", "of-both", "busybox", "sleep", "600", check=True)
    shared = ("--network", "container:first")
    words = ("busybox", "sh", "-c", "hostname; cat /etc/hostname; echo $HOSTNAME")
    told = lab.cli("run", "--rm", *shared, *words, check=True).stdout
    assert told.split() == ["of-both"] * 3
    for wanted in ({"Aliases": ["other"]}, {"Links": ["first:one"]}):
        body = {
            "Image": "busybox",
            "HostConfig": {"NetworkMode": "container:first"},
            "NetworkingConfig": {"EndpointsConfig": {"container:first": wanted}},
        }
        status, answer = lab.api("POST", "/containers/create", body)
        assert (status, "conflicting options" in str(answer)) == (400, True), answer


def test_containers_keep_their_addresses_apart_by_their_hardware(networks):
    lab = networks
    for name in ("one", "two"):
        start(lab, name)
    form = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}"
    pairs = lab.cli("inspect", "-f", form, "one", "two", check=True).stdout.split()
    for address, mac in zip(pairs[::2], pairs[1::2], strict=True):
        octets = bytes(int(part) for part in address.split("."))
        assert mac == "02:42:" + octets.hex(":")
