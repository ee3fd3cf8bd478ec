"""Choosing subnets: free ones, those that hide the least, and never those of another daemon."""

import ipaddress
import os
import subprocess
import sys

import pytest

from labkit.errors import ConflictError, InvalidParameterError
from labkit.networks import Network, Networks
from labkit.networks.addresses import parse_subnet
from labkit.networks.claims import Claims, file_path
from labkit.networks.defaults import Defaults, check_bip, pool
from labkit.networks.subnets import choose, overlaps
from tests.lab import AS_NOBODY, PROJECT


def anything(_):
    return True


def nets(*texts):
    return [ipaddress.ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("taken", "subnet", "hidden"),
    [
        ((), "10.208.0.0/20", None),
        (("10.208.0.0/20",), "10.208.16.0/20", None),
        (("10.208.0.5/32",), "10.208.16.0/20", None),
        (("10.0.0.0/8",), "172.24.0.0/20", None),
        (("10.0.0.0/8", "172.16.0.0/12"), "192.168.128.0/24", None),
        (("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "10.208.0.0/20", "10.0.0.0/8"),
        (("0.0.0.0/1", "128.0.0.0/1"), "10.208.0.0/20", "0.0.0.0/1"),
        (("0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8"), "172.24.0.0/20", "128.0.0.0/1"),
        (("0.0.0.0/1", "128.0.0.0/1", "10.208.0.0/24"), "10.208.16.0/20", "0.0.0.0/1"),
        (("fd00::/8",), "10.208.0.0/20", None),
    ],
)
def test_the_subnet_that_hides_the_least_is_chosen(taken, subnet, hidden):
    found = choose(nets(*taken), anything)
    assert (found.subnet, found.hidden and str(found.hidden)) == (subnet, hidden)


def test_nothing_is_left():
    with pytest.raises(ConflictError, match="default-address-pools"):
        choose([], lambda subnet: False)
    with pytest.raises(ConflictError, match="in use"):
        choose(nets("10.9.0.0/25", "10.9.0.128/25"), anything, [pool("10.9.0.0/24", 25)])


def test_two_daemons_never_choose_the_same_addresses():
    one, other = Claims(), Claims()
    try:
        range_ = [pool("198.18.0.0/15", 20)]
        first, second = (choose([], claims.claim, range_).subnet for claims in (one, other))
        assert overlaps(parse_subnet(first), nets(second)) is None
        assert not other.claim(first)
        assert not other.claim("198.18.0.0/15"), "a part of it is another's"
        one.release(first)
        assert other.claim(first)
        assert one.claim("fd12:3456:789a::/64") and not other.claim("fd12:3456:789a::/64")
        one.close()
        assert other.claim("fd12:3456:789a::/64")
        assert os.stat(file_path()).st_mode & 0o777 == 0o600
    finally:
        one.close()
        other.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_nobody_else_can_claim():
    claims = Claims()
    try:
        assert claims.claim("198.18.0.0/20")
        script = "from labkit.networks.claims import Claims; Claims().claim('198.18.16.0/20')"
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", script],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "PermissionError" in done.stderr
        assert claims.claim("198.18.16.0/20")
    finally:
        claims.close()


def test_a_network_says_what_it_hides(tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.networks.subnets.in_use", lambda links=(): nets("0.0.0.0/0"))
    made = Networks(str(tmp_path), str(tmp_path), "lkunit", lambda: "")
    assert made.default().hides == "0.0.0.0/0"
    assert "hides the least of them, a part of 0.0.0.0/0" in made.present_warnings[0]
    made.close()


def test_what_the_administrator_says_of_addresses(tmp_path):
    said = Defaults([pool("10.99.0.0/16", 24)], check_bip("192.168.77.1/25"))
    made = Networks(str(tmp_path), str(tmp_path), "lkunit", lambda: "", defaults=said)
    (config,) = made.default().ipam.config
    assert (config.subnet, config.gateway) == ("192.168.77.0/25", "192.168.77.1")
    web = Network("web", "c0ffee", "")
    made._create(web, "lkunit1")
    assert web.ipam.config[0].subnet == "10.99.0.0/24"
    made.close()


@pytest.mark.parametrize(("base", "size"), [("x", 24), ("10.0.0.0/16", 8), ("fd00::/8", 64)])
def test_a_pool_that_makes_no_sense(base, size):
    with pytest.raises(InvalidParameterError):
        pool(base, size)


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "fd00::1/64"]
)
def test_a_bip_that_makes_no_sense(text):
    with pytest.raises(InvalidParameterError, match="bip"):
        check_bip(text)


@pytest.mark.parametrize("cidr", ["10.100.0.0/24", "fd00:77::/64"])
def test_a_range_that_is_no_part_of_the_bridge_s_subnet(cidr):
    said = Defaults(bip="10.99.0.1/16", fixed_cidr=cidr)
    with pytest.raises(InvalidParameterError, match="is not part of the subnet"):
        said.checked()
