"""Published ports: what is asked for, and which of the host's it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConflictError, InvalidParameterError
from labkit.networks import ports
from labkit.networks.model import Endpoint, PublishedPort, Sandbox
from labkit.networks.ports import PortBinding, PortWish, allocate, collide, parse_exposed, wishes
from labkit.networks.rules import needs_relay


def wish(port: int, host_ip: str = "", protocol: str = "tcp", last: int = 0) -> PortWish:
    return PortWish(protocol, 80, host_ip, port, last or port)


def test_what_docker_sends_is_read():
    bindings = {
        "80/tcp": [PortBinding("127.0.0.1", "8080"), PortBinding("", "9000-9003")],
        "53/udp": [PortBinding()],
        "22": None,
    }
    assert wishes(bindings, [], publish_all=False) == [
        PortWish("tcp", 80, "127.0.0.1", 8080, 8080),
        PortWish("tcp", 80, "", 9000, 9003),
        PortWish("udp", 53, "", 0, 0),
        PortWish("tcp", 22, "", 0, 0),
    ]


def test_publish_all_adds_the_exposed_ports_that_are_not_bound():
    bindings = {"80/tcp": [PortBinding("", "8080")]}
    found = wishes(bindings, ["80/tcp", "90-91/udp", "5060/sctp"], publish_all=True)
    assert found[1:] == [PortWish("udp", 90, "", 0, 0), PortWish("udp", 91, "", 0, 0)]


@pytest.mark.parametrize("text", ["0", "65536", "x", "80/icmp", "-1", "٣"])
def test_bad_ports_are_refused(text):
    with pytest.raises(InvalidParameterError, match="invalid port"):
        parse_exposed([text])


def test_a_port_that_another_container_has_is_refused_by_its_name():
    other = Sandbox("c0ffee" * 8, ports=[PublishedPort("0.0.0.0", 8080, "tcp", 80)])
    with pytest.raises(ConflictError, match=r"allocated: it is published by.*c0ffeec0ffee"):
        allocate("me", [wish(8080, "127.0.0.1")], [other], with_ipv6=False)
    assert allocate("me", [wish(8080, protocol="udp")], [other], with_ipv6=False)


def test_the_same_port_twice_in_one_container_is_refused():
    with pytest.raises(ConflictError, match="published by container me"):
        allocate("me", [wish(8080), wish(8080)], [], with_ipv6=False)


def test_a_range_gives_the_first_that_is_free():
    other = Sandbox("other", ports=[PublishedPort("0.0.0.0", 9000, "tcp", 80)])
    (port,) = allocate("me", [wish(9000, last=9002)], [other], with_ipv6=False)
    assert port.host_port == 9001


@pytest.mark.parametrize("with_ipv6", [False, True])
@pytest.mark.parametrize("place", ["::", "::1"])
def test_a_place_of_ipv6_that_was_asked_for(monkeypatch, place, with_ipv6):
    """A container that has only IPv4 gets it, too: a process relays the data."""
    monkeypatch.setattr(ports, "has_ipv6", lambda: True)
    places = {"80/tcp": [PortBinding(place, "8080")]}
    (asked,) = wishes(places, (), publish_all=False)
    (found,) = allocate("me", [asked], [], with_ipv6=with_ipv6)
    assert (found.host_ip, found.host_port) == (place, 8080)
    monkeypatch.setattr(ports, "has_ipv6", lambda: False)
    with pytest.raises(InvalidParameterError, match="the kernel has no IPv6"):
        allocate("me", [asked], [], with_ipv6=False)


def test_the_kernel_forwards_no_port_of_ipv6_to_ipv4_nor_from_the_loopback():
    def port(place: str) -> PublishedPort:
        return PublishedPort(place, 8080, "tcp", 80)

    def end(address_6: str) -> Endpoint:
        endpoint = Endpoint("e", "n", "eth0", "", "", "172.17.0.2", 16, [])
        endpoint.ipv6_address = address_6
        return endpoint

    assert [needs_relay(port(place), end("")) for place in ("0.0.0.0", "::", "::1")] == [
        False,
        True,
        True,
    ]
    assert [needs_relay(port(place), end("fd00::2")) for place in ("0.0.0.0", "::", "::1")] == [
        False,
        False,
        True,
    ]


def test_both_versions_of_ip_get_the_same_port():
    both = allocate("me", [PortWish("tcp", 80, "", 0, 0)], [], with_ipv6=True)
    assert [port.host_ip for port in both] == ["0.0.0.0", "::"]
    assert both[0].host_port == both[1].host_port > 1023


PORTS = st.builds(
    PublishedPort,
    st.sampled_from(["0.0.0.0", "127.0.0.1", "10.0.0.1", "::", "::1"]),
    st.sampled_from([80, 81]),
    st.sampled_from(["tcp", "udp"]),
    st.just(80),
)


@given(st.lists(PORTS, max_size=8))
def test_what_is_given_never_collides(asked):
    held: list[Sandbox] = []
    for number, port in enumerate(asked):
        wanted = [PortWish(port.protocol, 80, port.host_ip, port.host_port, port.host_port)]
        try:
            ports = allocate(str(number), wanted, held, with_ipv6=True)
        except ConflictError:
            continue
        held.append(Sandbox(str(number), ports=ports))
    every = [port for sandbox in held for port in sandbox.ports]
    assert not any(collide(a, b) for a in every for b in every if a is not b)
