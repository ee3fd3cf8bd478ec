"""The network map, a packet's way and their figures, without a network."""

import socket
import struct

import pytest

from labkit.course.networks.network_map import (
    Bridge,
    Cable,
    NetworkMap,
    is_translated,
    published_in,
    rules_of,
)
from labkit.course.networks.packet_way import Echo, Hop, PacketWay, Place, read_echo

MASQUERADE = {
    "nftables": [
        {"table": {"name": "labkit"}},
        {
            "rule": {
                "expr": [
                    {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "lk0"}},
                    {"masquerade": None},
                ]
            }
        },
        {
            "rule": {
                "expr": [
                    {
                        "match": {
                            "op": "==",
                            "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                            "right": 8080,
                        }
                    },
                    {"dnat": {"family": "ip", "addr": "10.0.0.2", "port": 80}},
                ]
            }
        },
    ]
}


@pytest.fixture
def found() -> NetworkMap:
    return NetworkMap(
        ("ann", "bob", "vault"),
        (Bridge("lk0", "10.0.0.1", True), Bridge("lk1", "10.1.0.1", False)),
        (
            Cable("ann", "eth0", "10.0.0.2", "lkv1", "lk0"),
            Cable("ann", "eth1", "10.1.0.2", "lkv2", "lk1"),
            Cable("bob", "eth0", "10.1.0.3", "lkv3", "lk1"),
        ),
        (("8080/tcp", "10.0.0.2:80"),),
        "eth0",
    )


def test_what_nftables_says_is_read() -> None:
    rules = rules_of(MASQUERADE)
    assert is_translated(rules, "lk0")
    assert not is_translated(rules, "lk1")
    assert published_in(rules) == [("8080/tcp", "10.0.0.2:80")]
    assert rules_of({}) == []


def test_the_map_as_a_table(found: NetworkMap) -> None:
    assert found.unplugged == ("vault",)
    assert found.table().rows == (
        ("ann", "eth0", "10.0.0.2", "lkv1", "lk0", "8080/tcp"),
        ("ann", "eth1", "10.1.0.2", "lkv2", "lk1", "–"),
        ("bob", "eth0", "10.1.0.3", "lkv3", "lk1", "–"),
        ("vault", "–", "–", "–", "–", "–"),
    )


def test_the_map_in_words_and_as_a_picture(found: NetworkMap) -> None:
    figure = found.plot()
    assert "bob has eth0 10.1.0.3, by lkv3 in lk1" in figure.alt
    assert "Without a cable: vault." in figure.alt
    assert "By NAT to the outside: lk0." in figure.alt
    assert figure.png.startswith(b"\x89PNG")


def test_a_map_of_nothing_can_be_drawn() -> None:
    assert "No cables" in NetworkMap((), (), (), (), "").plot().alt


def frame(kind: int, *, ether: int = 0x0800, protocol: int = 1) -> bytes:
    addresses = socket.inet_aton("10.0.0.2") + socket.inet_aton("203.0.113.2")
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 63, protocol, 0) + addresses
    return bytes(12) + struct.pack("!H", ether) + header + bytes([kind, 0]) + bytes(6)


def test_an_echo_is_read_from_a_frame() -> None:
    assert read_echo(frame(8)) == Echo("request", "10.0.0.2", "203.0.113.2", 63)
    assert read_echo(frame(0)) == Echo("reply", "10.0.0.2", "203.0.113.2", 63)


@pytest.mark.parametrize(
    "other",
    [b"", frame(8)[:30], frame(3), frame(8, protocol=6), frame(8, ether=0x0806)],
    ids=["nothing", "cut", "unreachable", "tcp", "arp"],
)
def test_other_frames_are_no_echo(other: bytes) -> None:
    assert read_echo(other) is None


def test_the_way_is_in_order_and_says_what_was_rewritten() -> None:
    inside, host = Place("ann", "eth0", "/proc/1/ns/net"), Place("host", "up0")
    way = PacketWay(
        [inside, host],
        [
            Hop(host, Echo("request", "1.1.1.1", "9.9.9.9", 63)),
            Hop(inside, Echo("request", "10.0.0.2", "9.9.9.9", 64)),
            Hop(inside, Echo("reply", "9.9.9.9", "10.0.0.2", 63)),
            Hop(host, Echo("reply", "9.9.9.9", "1.1.1.1", 64)),
        ],
    )
    assert [hop.place.name for hop in way.leg("request")] == ["ann", "host"]
    assert [hop.place.name for hop in way.leg("reply")] == ["host", "ann"]
    assert way.rewritten == (("10.0.0.2", "1.1.1.1"), ("1.1.1.1", "10.0.0.2"))
    figure = way.plot()
    assert "Out as 1.1.1.1, not as 10.0.0.2" in figure.alt
    assert figure.png.startswith(b"\x89PNG")
