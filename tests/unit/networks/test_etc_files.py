"""What /etc/hosts and /etc/resolv.conf say."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.networks.etc_files import (
    LOCALHOST,
    Resolver,
    asks_labkit,
    check_extra_host,
    hosts,
    parse_resolver,
    resolv_conf,
    resolver_for,
    servers_asked_by_labkit,
)


def test_hosts():
    text = hosts(
        [("10.1.0.2", "web")], ["db:10.9.9.9", "v6=[fd00::1]", "w:fd00::2"], ["1.2.3.4\tx"]
    )
    assert text.removeprefix(LOCALHOST).splitlines() == [
        "10.9.9.9\tdb",
        "fd00::1\tv6",
        "fd00::2\tw",
        "1.2.3.4\tx",
        "10.1.0.2\tweb",
    ]


def test_resolv_conf_is_read_and_written():
    text = "# made by hand\nnameserver 1.2.3.4\nnameserver fd00::1 # ours\nsearch a.org b.org\n"
    text += "options ndots:2\noptions timeout:1 rotate\n;end\n"
    read = parse_resolver(text)
    assert read == Resolver(
        ("1.2.3.4", "fd00::1"), ("a.org", "b.org"), ("ndots:2", "timeout:1", "rotate")
    )
    assert parse_resolver(resolv_conf(read)) == read


def test_the_hosts_loopback_is_no_server_for_a_container():
    host = Resolver(("127.0.0.53", "::1", "9.9.9.9"))
    assert resolver_for(host, servers=[], search=[], options=[]).servers == ("9.9.9.9",)
    only = Resolver(("127.0.0.1",))
    assert resolver_for(only, servers=[], search=[], options=[]).servers == ("8.8.8.8", "8.8.4.4")
    assert resolver_for(only, servers=["1.1.1.1"], search=[], options=[]).servers == ("1.1.1.1",)


def test_a_search_domain_of_a_dot_is_written():
    """Without the line, a program would take the domain of its host name."""
    host = Resolver(("9.9.9.9",), ("example.org",))
    assert resolver_for(host, servers=[], search=[], options=[]).search == ("example.org",)
    assert resolver_for(host, servers=[], search=["."], options=[]).search == (".",)


def test_who_asks_labkit_keeps_the_hosts_domains_and_options():
    host = Resolver(("9.9.9.9",), ("example.org",), ("timeout:1",))
    assert asks_labkit(host) == Resolver(
        ("127.0.0.11",), ("example.org",), ("timeout:1", "ndots:0")
    )
    assert asks_labkit(Resolver(options=("ndots:2",))).options == ("ndots:2",)


def test_labkit_may_ask_the_hosts_own_loopback():
    host = Resolver(("127.0.0.53",))
    assert servers_asked_by_labkit(host, []) == ["127.0.0.53"]
    assert servers_asked_by_labkit(host, ["1.1.1.1"]) == ["1.1.1.1"]
    assert servers_asked_by_labkit(Resolver(), []) == ["8.8.8.8", "8.8.4.4"]


def test_lines_that_are_none():
    for good in ("db:10.9.9.9", "v6=[fd00::1]", "w:fd00::2", "me:host-gateway"):
        check_extra_host(good)
    for bad in ("db", "db:", ":10.9.9.9", "", "a b:10.9.9.9", "a\n6.6.6.6 b:10.9.9.9"):
        with pytest.raises(InvalidParameterError, match="bad format for add-host"):
            check_extra_host(bad)
    with pytest.raises(InvalidParameterError, match='invalid IP address in add-host: "here"'):
        check_extra_host("db:here")
    with pytest.raises(InvalidParameterError, match="invalid IP address in add-host"):
        check_extra_host("db:fe80::1%x\n6.6.6.6 evil")
