"""Addresses are given once, and come back: for any order of asking and giving back."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConflictError, InvalidParameterError
from labkit.networks.addresses import AddressSpace, parse_address, parse_subnet

SUBNET = ipaddress.ip_network("10.9.0.0/28")
ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("wish"), st.integers(0, 15)),
        st.tuples(st.just("give back"), st.integers(0, 15)),
    ),
    max_size=60,
)


@given(ORDERS)
def test_no_address_is_given_twice_and_all_come_back(orders):
    space = AddressSpace(str(SUBNET), reserved=["10.9.0.1"])
    held: set[str] = set()
    for order, number in orders:
        address = str(SUBNET.network_address + number)
        if order == "give back":
            held.discard(address)
            space.give_back(address)
            continue
        try:
            got = space.take(address if order == "wish" else "")
        except ConflictError:
            full = len(held) == 13
            assert full if order == "take" else address in {*held, *_never()}
            continue
        assert got not in held
        assert got not in _never()
        held.add(got)
    for address in list(held):
        space.give_back(address)
    assert len({space.take() for _ in range(13)}) == 13


def _never() -> set[str]:
    return {"10.9.0.0", "10.9.0.1", "10.9.0.15"}


@given(st.sets(st.integers(2, 14)))
def test_what_a_daemon_finds_taken_is_never_given(taken):
    space = AddressSpace(str(SUBNET), reserved=["10.9.0.1"])
    found = {str(SUBNET.network_address + number) for number in taken}
    for address in found:
        space.take_note(address)
    given_out = {space.take() for _ in range(13 - len(taken))}
    assert not given_out & found
    with pytest.raises(ConflictError, match="no available"):
        space.take()


def test_the_lowest_free_address_is_given_first():
    space = AddressSpace("10.9.0.0/24", reserved=["10.9.0.1"])
    assert [space.take() for _ in range(3)] == ["10.9.0.2", "10.9.0.3", "10.9.0.4"]
    space.give_back("10.9.0.3")
    assert space.take() == "10.9.0.3"
    assert space.take() == "10.9.0.5"


def test_without_a_wish_only_the_range_is_used():
    space = AddressSpace("10.9.0.0/24", "10.9.0.128/30", ["10.9.0.1"])
    assert [space.take() for _ in range(4)] == [f"10.9.0.{n}" for n in (128, 129, 130, 131)]
    with pytest.raises(ConflictError):
        space.take()
    assert space.take("10.9.0.7") == "10.9.0.7"


def test_a_wish_must_be_of_the_subnet():
    with pytest.raises(InvalidParameterError, match=r"not of the network's subnet 10\.9\.0\.0/24"):
        AddressSpace("10.9.0.0/24").take("10.9.1.2")


def test_ipv6():
    space = AddressSpace("fd00:1::/64", reserved=["fd00:1::1"])
    assert [space.take(), space.take()] == ["fd00:1::2", "fd00:1::3"]


@pytest.mark.parametrize("zone", ["%eth0", "%x\n}", "%a b", "%"])
def test_a_zone_does_not_come_into_rules_and_files(zone):
    for text in (f"fd00::{zone}/64", f"fd00::/64{zone}"):
        with pytest.raises(InvalidParameterError, match="invalid subnet"):
            parse_subnet(text)
    with pytest.raises(InvalidParameterError, match="invalid IP address"):
        parse_address(f"fe80::1{zone}")


def test_a_name_server_may_have_a_zone_that_is_the_name_of_a_link():
    assert parse_address("fe80::1%eth0.5", may_have_zone=True).is_link_local
    for text in ("fe80::1%a b", "fe80::1%a\nsearch evil", "fe80::1%" + "x" * 16, "1.2.3.4%eth0"):
        with pytest.raises(InvalidParameterError, match="invalid IP address"):
            parse_address(text, may_have_zone=True)
