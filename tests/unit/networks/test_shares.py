"""Questions to other servers: each container has its share, whoever came first."""

from labkit.networks.names.shares import Shares


def test_those_who_flood_give_way():
    shares = Shares(most_of_one=64, most_of_all=256)
    failed = []
    for client in "abcd":
        for _ in range(64):
            assert shares.take(client, lambda client=client: failed.append(client)) is not None
        assert shares.take(client, lambda: None) is None
    taken = [shares.take("quiet", lambda: failed.append("quiet")) for _ in range(51)]
    assert None not in taken
    assert shares.take("quiet", lambda: None) is None or len(failed) == 52
    assert "quiet" not in failed
    assert {failed.count(client) for client in "abcd"} <= {12, 13}


def test_places_are_given_back():
    shares = Shares(most_of_one=2, most_of_all=3)
    one, two = shares.take("a", lambda: None), shares.take("a", lambda: None)
    assert shares.take("a", lambda: None) is None
    shares.give_back("a", one)
    shares.give_back("a", one)
    assert shares.take("b", lambda: None) is not None
    shares.give_back("a", two)
    assert all(shares.take("c", lambda: None) for _ in range(2))
