"""Which links lead outside."""

from labkit.kernel.network.links import Link
from labkit.networks.surroundings import GROUP, sort

LINKS = [
    Link(1, "lo", "", 65536, 0),
    Link(2, "eth0", "", 1500, 0),
    Link(3, "labkit0", "bridge", 1500, 0, GROUP),
    Link(4, "labkitv1", "veth", 1500, 3),
    Link(5, "docker0", "bridge", 1500, 0),
    Link(6, "veth1", "veth", 1500, 5),
    Link(7, "br0", "bridge", 1500, 0),
    Link(8, "eth1", "", 1500, 7),
    Link(9, "tap0", "tun", 1500, 7),
    Link(10, "virbr0", "bridge", 1500, 0),
    Link(11, "wg0", "wireguard", 1420, 0),
]


def test_links_are_told_apart():
    found = sort(LINKS)
    assert found.outward == ("eth0", "br0", "wg0")
    assert found.bridges == ("docker0", "br0", "virbr0")
