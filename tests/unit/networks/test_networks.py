"""Networks and their records; nothing here makes a link."""

import os

import pytest

from labkit.errors import ConflictError, ForbiddenError, InvalidParameterError, NotFoundError
from labkit.networks import Network, Networks
from labkit.networks.model import Ipam, IpamConfig


@pytest.fixture
def made(tmp_path):
    networks = Networks(str(tmp_path), str(tmp_path), "lkunit", lambda: "2024-05-01T12:00:00Z")
    yield networks
    networks.close()


def test_the_three_that_are_always_there(made):
    assert [network.name for network in made.all()] == ["bridge", "host", "none"]
    assert made.find("default") is made.find("bridge")
    assert made.find(made.find("host").id[:8]).driver == "host"
    with pytest.raises(NotFoundError, match="network web not found"):
        made.find("web")
    for name in ("bridge", "host", "none"):
        with pytest.raises(ForbiddenError):
            made.remove(made.find(name))


def test_a_network_is_found_again_by_the_next_daemon(made, tmp_path):
    first = made.default()
    next_one = Networks(str(tmp_path), str(tmp_path), "lkunit", lambda: "")
    assert next_one.default() == first
    os.unlink(tmp_path / "networks" / f"{first.id}.json")
    assert Networks(str(tmp_path), str(tmp_path), "lkunit", lambda: "").default().id != first.id


def test_a_driver_that_labkit_lacks_is_not_found(made):
    with pytest.raises(NotFoundError, match="labkit has the drivers"):
        made.create(Network("web", "c0ffee", "", driver="overlay"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "invalid network name"),
        ({"ipam": Ipam(driver="dhcp")}, "labkit has the driver default"),
        ({"ipam": Ipam(config=[IpamConfig(gateway="10.0.0.1")])}, "need a --subnet"),
        ({"ipam": Ipam(config=[IpamConfig("10.0.0.1/24")])}, "invalid subnet"),
        ({"ipam": Ipam(config=[IpamConfig("10.0.0.0/31")])}, "no container has room"),
        ({"ipam": Ipam(config=[IpamConfig("10.0.0.0/24", "10.1.0.0/25")])}, "not part of the"),
        ({"ipam": Ipam(config=[IpamConfig("10.0.0.0/24", "", "10.1.0.1")])}, "not of the subnet"),
        ({"options": {"com.docker.network.driver.mtu": "9"}}, "68-65535"),
        ({"options": {"com.docker.network.bridge.name": "x" * 16}}, "at most 15"),
        ({"options": {"com.docker.network.bridge.enable_icc": "no"}}, "it must be true or false"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(made, fields, words):
    asked = {"name": "web", "id": "c0ffee", "created": "", **fields}
    with pytest.raises(InvalidParameterError, match=words):
        made.create(Network(**asked))


def test_a_subnet_that_is_in_use_is_refused(made):
    taken = made.default().ipam.config[0].subnet
    with pytest.raises(ConflictError, match="Pool overlaps with other one"):
        made.create(Network("web", "c0ffee", "", ipam=Ipam(config=[IpamConfig(taken)])))
    with pytest.raises(ForbiddenError, match="predefined"):
        made.create(Network("bridge", "c0ffee", ""))
