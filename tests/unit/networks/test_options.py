"""Options of a network: each is done, or refused with the reason."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.networks import options
from labkit.networks.model import Network

BRIDGE = "com.docker.network.bridge"


@pytest.mark.parametrize(
    "option",
    [
        f"{BRIDGE}.name=lk9",
        f"{BRIDGE}.enable_icc=true",
        f"{BRIDGE}.enable_icc=1",
        f"{BRIDGE}.enable_ip_masquerade=F",
        f"{BRIDGE}.host_binding_ipv4=127.0.0.1",
        f"{BRIDGE}.host_binding_ipv6=2001:db8::1",
        f"{BRIDGE}.gateway_mode_ipv4=nat",
        f"{BRIDGE}.inhibit_ipv4=false",
        "com.docker.network.host_ipv4=192.0.2.1",
        "com.docker.network.driver.mtu=1400",
        "com.docker.network.container_iface_prefix=eth",
    ],
)
def test_what_is_done(option):
    options.check(dict([option.split("=")]))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("foo=bar", "unknown option foo=bar"),
        (f"{BRIDGE}.host_binding=127.0.0.1", "unknown option"),
        (f"{BRIDGE}.host_binding_ipv4=nowhere", "invalid IP address"),
        (f"{BRIDGE}.host_binding_ipv4=::1", "an address of IPv4"),
        (f"{BRIDGE}.host_binding_ipv6=127.0.0.1", "an address of IPv6"),
        (f"{BRIDGE}.host_binding_ipv6=::1", "127.0.0.1"),
        (f"{BRIDGE}.enable_icc=maybe", "true or false"),
        (f"{BRIDGE}.enable_ip_masquerade=maybe", "true or false"),
        (f"{BRIDGE}.gateway_mode_ipv4=routed", "does not support"),
        (f"{BRIDGE}.gateway_mode_ipv6=nat-unprotected", "does not support"),
        (f"{BRIDGE}.inhibit_ipv4=1", "does not support"),
        (f"{BRIDGE}.trusted_host_interfaces=eth0", "does not support"),
        ("com.docker.network.container_iface_prefix=net", "does not support"),
        ("com.docker.network.driver.mtu=12", "invalid option"),
        (f"{BRIDGE}.name=much-too-long-a-name", "invalid option"),
    ],
)
def test_what_is_refused(option, words):
    with pytest.raises(InvalidParameterError, match=words):
        options.check(dict([option.split("=")]))


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({}, ["0.0.0.0", "::"]),
        ({4: "127.0.0.1"}, ["127.0.0.1"]),
        ({6: "2001:db8::1"}, ["0.0.0.0", "2001:db8::1"]),
        ({4: "192.0.2.1", 6: "2001:db8::1"}, ["192.0.2.1", "2001:db8::1"]),
    ],
)
def test_where_ports_are_published(given, places):
    known = {options.BINDING[version]: address for version, address in given.items()}
    assert Network("web", "id", "", options=known).binding == places


def test_masquerading_is_off_for_every_word_that_says_so():
    for word in ("false", "0", "F", "False"):
        assert not Network("web", "id", "", options={options.MASQUERADE: word}).masquerades
