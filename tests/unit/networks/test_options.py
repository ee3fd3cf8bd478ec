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
        f"{BRIDGE}.gateway_mode_ipv4=routed",
        f"{BRIDGE}.gateway_mode_ipv6=nat-unprotected",
        f"{BRIDGE}.inhibit_ipv4=false",
        "com.docker.network.host_ipv4=192.0.2.1",
        "com.docker.network.driver.mtu=1400",
        "com.docker.network.container_iface_prefix=net",
    ],
)
def test_what_is_done(option):
    options.check(dict([option.split("=")]))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("com.docker.network.foo=bar", "unknown option com.docker.network.foo=bar"),
        (f"{BRIDGE}.host_binding=127.0.0.1", "unknown option"),
        (f"{BRIDGE}.host_binding_ipv4=nowhere", "invalid IP address"),
        (f"{BRIDGE}.host_binding_ipv4=::1", "an address of IPv4"),
        (f"{BRIDGE}.host_binding_ipv6=127.0.0.1", "an address of IPv6"),
        (f"{BRIDGE}.host_binding_ipv6=::1", "127.0.0.1"),
        (f"{BRIDGE}.enable_icc=maybe", "true or false"),
        (f"{BRIDGE}.enable_ip_masquerade=maybe", "true or false"),
        (f"{BRIDGE}.gateway_mode_ipv4=odd", "nat, nat-unprotected, routed or isolated"),
        ("parent=eth0", "unknown option"),
        (f"{BRIDGE}.inhibit_ipv4=1", "does not support"),
        (f"{BRIDGE}.trusted_host_interfaces=eth0", "does not support"),
        ("com.docker.network.container_iface_prefix=much-too-long-a-name", "invalid option"),
        ("com.docker.network.driver.mtu=12", "invalid option"),
        (f"{BRIDGE}.name=much-too-long-a-name", "invalid option"),
        (f"{BRIDGE}.name=..", "invalid option"),
        ("com.docker.network.host_ipv6=fe80::1%a b", "invalid IP address"),
    ],
)
def test_what_is_refused(option, words):
    with pytest.raises(InvalidParameterError, match=words):
        options.check(dict([option.split("=")]))


@pytest.mark.parametrize("driver", ["bridge", "macvlan", "ipvlan"])
def test_words_for_other_programs_are_kept(driver):
    options.check({"foo": "bar", "org.example.owner": ""}, driver)


@pytest.mark.parametrize(
    ("driver", "option", "is_known"),
    [
        ("macvlan", "macvlan_mode=private", True),
        ("macvlan", "macvlan_mode=l2", False),
        ("macvlan", f"{BRIDGE}.enable_icc=true", False),
        ("ipvlan", "ipvlan_mode=l3", True),
        ("ipvlan", "ipvlan_flag=vepa", True),
        ("ipvlan", "macvlan_mode=bridge", False),
        ("ipvlan", "parent=eth0", True),
    ],
)
def test_each_driver_has_its_own_options(driver, option, is_known):
    given = dict([option.split("=")])
    if is_known:
        options.check(given, driver)
    else:
        with pytest.raises(InvalidParameterError):
            options.check(given, driver)


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
