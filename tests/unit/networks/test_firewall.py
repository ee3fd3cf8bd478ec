"""The rules, as text: what each network and each published port adds to the table."""

from labkit.networks.firewall import Forward, ruleset
from labkit.networks.forwarding import Closed
from labkit.networks.model import Ipam, IpamConfig, Network


def network(name: str, link: str, subnet: str, **more: object) -> Network:
    ipam = Ipam(config=[IpamConfig(subnet=subnet)])
    return Network(name, name * 8, "", ipam=ipam, bridge=link, **more)


WEB = network("web", "labkit1", "10.208.16.0/20")
VAULT = network("vault", "labkit2", "10.208.32.0/20", internal=True)


def rules(*networks: Network, forwards: list[Forward] | None = None) -> list[str]:
    return [line.strip() for line in ruleset("labkit", networks, forwards or []).splitlines()]


def test_the_former_table_is_replaced_and_no_other_is_named():
    text = ruleset("labkit", [WEB], [])
    assert text.startswith("table inet labkit\ndelete table inet labkit\ntable inet labkit {\n")
    assert text.count("table ") == 3
    assert "flush" not in text


def test_without_networks_nothing_is_left():
    assert ruleset("labkit", [], []) == "table inet labkit\ndelete table inet labkit\n"


def test_what_leaves_is_masqueraded_but_not_from_an_internal_network():
    found = rules(WEB, VAULT)
    assert 'ip saddr 10.208.16.0/20 oifname != "labkit1" masquerade' in found
    assert 'ip saddr 10.208.32.0/20 oifname != "labkit2" masquerade' not in found
    assert 'iifname "labkit2" drop' in found
    assert 'oifname "labkit2" drop' in found


def test_masquerading_can_be_left_out():
    option = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    plain = network("plain", "labkit1", "10.208.16.0/20", options=option)
    assert not any("saddr 10.208.16.0/20 oifname !=" in rule for rule in rules(plain))


def test_published_ports():
    found = rules(
        WEB,
        forwards=[
            Forward("tcp", "0.0.0.0", 8080, "10.208.16.2", 80),
            Forward("udp", "192.0.2.1", 53, "10.208.16.3", 53),
            Forward("tcp", "::", 8080, "fd00::2", 80),
        ],
    )
    assert "meta nfproto ipv4 tcp dport 8080 dnat ip to 10.208.16.2:80" in found
    assert "ip daddr 192.0.2.1 udp dport 53 dnat ip to 10.208.16.3:53" in found
    assert "ip6 daddr != ::1 tcp dport 8080 dnat ip6 to [fd00::2]:80" in found
    assert "ip6 daddr ::1 tcp dport 8080 reject with tcp reset" in found


def test_into_a_network_comes_only_what_was_asked_for_or_published():
    found = rules(WEB)
    into = [rule for rule in found if rule.startswith('oifname { "labkit1" }')]
    assert [rule.removeprefix('oifname { "labkit1" } ') for rule in into] == [
        "ct state established,related accept",
        "ct status dnat accept",
        "drop",
    ]


def test_what_labkit_opened_leads_to_its_bridges_alone():
    found = ruleset("labkit", [WEB], [], Closed(("eth0", "eth1"), ipv6=True, bridges=("br0",)))
    assert [line.strip() for line in found.partition("chain closed {")[2].splitlines()[1:4]] == [
        'iifname "br0" oifname "br0" return',
        'meta nfproto ipv4 iifname { "eth0", "eth1" } oifgroup != 27755 drop',
        "meta nfproto ipv6 iifgroup != 27755 oifgroup != 27755 drop",
    ]
    assert "oifgroup" not in ruleset("labkit", [WEB], [])


def test_the_loopback_is_the_hosts_alone():
    found = rules(WEB, forwards=[Forward("tcp", "127.0.0.1", 8081, "10.208.16.2", 80)])
    assert 'iifname != "lo" ip daddr 127.0.0.1 tcp dport 8081 drop' in found
    for side in ("daddr", "saddr"):
        assert f'iifname {{ "labkit1" }} ip {side} 127.0.0.0/8 drop' in found


def test_the_address_that_packets_leave_with():
    option = {"com.docker.network.host_ipv4": "192.0.2.7"}
    fixed = network("fixed", "labkit1", "10.208.16.0/20", options=option)
    assert 'ip saddr 10.208.16.0/20 oifname != "labkit1" snat ip to 192.0.2.7' in rules(fixed)
