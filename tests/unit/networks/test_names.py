"""Who is called what, and the answers to queries: as data."""

import pytest
from dnslib import CLASS, EDNS0, QTYPE, RCODE, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from labkit.networks import Endpoint, Network, Sandbox
from labkit.networks.names import queries
from labkit.networks.names.answering import Answers
from labkit.networks.names.budget import Budget
from labkit.networks.names.table import Table


def endpoint(network: str, address: str, *names: str, **more: object) -> Endpoint:
    more = {"gateway": "10.0.0.1"} | more
    return Endpoint("e", network, "eth0", "v", "02:", address, 24, list(names), **more)


def sandbox(container_id: str, *endpoints: Endpoint, dns: tuple[str, ...] = ()) -> Sandbox:
    return Sandbox(container_id, list(endpoints), dns=list(dns))


NETWORKS = [Network("blue", "b", ""), Network("Green.org", "g", ""), Network("bridge", "d", "")]
TABLE = Table(
    NETWORKS,
    [
        sandbox("c1", endpoint("b", "10.0.0.2", "web", "svc", ipv6_address="fd00::2")),
        sandbox("c2", endpoint("b", "10.0.0.3", "db", "svc", "DB-host", links={"Main": "web"})),
        sandbox("c3", endpoint("g", "10.1.0.2", "far"), endpoint("b", "10.0.0.4", "both")),
        sandbox("c4", endpoint("g", "10.1.0.3", "web")),
        sandbox("c5", endpoint("d", "10.9.0.2")),
    ],
)


def ask(who: str, name: str, kind: str = "A", *, table: Table = TABLE, **more: object) -> DNSRecord:
    return answer(Answers(who), DNSRecord.question(name, kind).pack(), table, **more)


def answer(answers: Answers, wire: bytes, table: Table = TABLE, *, is_tcp: bool = False):
    reply = answers.to(queries.read(wire, is_tcp=is_tcp), table)
    return None if reply is None else DNSRecord.parse(reply)


def data(reply: DNSRecord | None) -> list[str] | None:
    return None if reply is None else [str(record.rdata) for record in reply.rr]


@pytest.mark.parametrize(
    ("who", "name", "found"),
    [
        ("c2", "web", ["10.0.0.2"]),
        ("c2", "WEB", ["10.0.0.2"]),
        ("c2", "web.blue", ["10.0.0.2"]),
        ("c2", "web.Blue.", ["10.0.0.2"]),
        ("c1", "svc", ["10.0.0.2", "10.0.0.3"]),
        ("c1", "db-HOST", ["10.0.0.3"]),
        ("c2", "main", ["10.0.0.2"]),  # by a link: for c2 alone
        ("c1", "main", None),
        ("c1", "far", None),
        ("c1", "far.green.org", None),
        ("c3", "far.green.org", ["10.1.0.2"]),
        ("c3", "db", ["10.0.0.3"]),
        ("c3", "web", ["10.1.0.3"]),  # both networks know one: the first answers
        ("c3", "web.blue", ["10.0.0.2"]),
        ("c5", "web", None),
        ("nobody", "web", None),
    ],
)
def test_names_are_those_of_the_askers_networks(who, name, found):
    assert data(ask(who, name)) == found


def test_an_answer_has_what_clients_check():
    wire = DNSRecord(q=DNSQuestion("wEb", QTYPE.A)).pack()
    reply = answer(Answers("c2"), wire)
    assert reply.header.id == DNSRecord.parse(wire).header.id
    assert (reply.header.qr, reply.header.ra, reply.header.rcode) == (1, 1, RCODE.NOERROR)
    assert str(reply.q.qname) == str(reply.rr[0].rname) == "wEb."  # as it was written
    assert reply.rr[0].ttl == 600


def test_a_name_without_such_a_record_is_there_nevertheless():
    assert data(ask("c2", "web", "AAAA")) == ["fd00::2"]
    for name, kind in (("db", "AAAA"), ("web", "MX")):
        reply = ask("c2", name, kind)
        assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])


def test_addresses_have_names():
    assert data(ask("c2", "2.0.0.10.in-addr.arpa", "PTR")) == ["web.blue."]
    digits = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"
    assert data(ask("c2", f"{digits}.ip6.arpa", "PTR")) == ["web.blue."]
    for other in ("2.0.1.10.in-addr.arpa", "9.0.0.10.in-addr.arpa", "x.in-addr.arpa", "2.ip6.arpa"):
        assert ask("c2", other, "PTR") is None


def test_those_with_one_name_are_answered_in_turn():
    answers = Answers("c1")
    wire, other = (DNSRecord.question("svc", kind).pack() for kind in ("A", "AAAA"))
    firsts = []
    for _ in range(4):
        firsts.append(data(answer(answers, wire))[0])
        answer(answers, other)  # as every client asks: it does not count
    assert firsts == ["10.0.0.2", "10.0.0.3"] * 2


def test_only_the_internets_class_is_answered():
    question = DNSQuestion("web", QTYPE.A, CLASS.CH)
    assert answer(Answers("c1"), DNSRecord(q=question).pack()) is None


MANY = Table(
    NETWORKS,
    [sandbox(f"c{n}", endpoint("b", f"10.0.{n // 250}.{n % 250}", "svc")) for n in range(300)],
)


@pytest.mark.parametrize(("edns", "fits"), [(None, 512), (100, 512), (1232, 1232), (65535, 4096)])
def test_what_is_too_large_is_cut_off_and_says_so(edns, fits):
    question = DNSRecord.question("svc")
    if edns is not None:
        question.add_ar(EDNS0(udp_len=edns))
    query = queries.read(question.pack(), is_tcp=False)
    wire = Answers("c1").to(query, MANY)
    reply = DNSRecord.parse(wire)
    assert fits - 28 < len(wire) <= fits
    assert reply.header.tc == 1
    assert len(reply.ar) == (edns is not None)
    whole = answer(Answers("c1"), question.pack(), MANY, is_tcp=True)
    assert (whole.header.tc, len(whole.rr)) == (0, 300)
    forwarded = DNSRecord.parse(queries.fitted(query, whole.pack()))
    assert (forwarded.header.tc, forwarded.rr) == (1, [])
    assert queries.fitted(query, wire) == wire


@given(st.binary(max_size=600))
def test_garbage_is_refused(wire):
    try:
        queries.read(wire, is_tcp=False)
    except queries.BadQueryError as error:
        if error.reply is not None:
            assert len(error.reply) <= len(wire)
            assert DNSRecord.parse(error.reply).header.rcode in (RCODE.FORMERR, RCODE.NOTIMP)


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=60))
def test_a_query_that_was_spoilt_is_refused_or_understood(noise, place):
    wire = bytearray(DNSRecord.question("a.web.example").pack())
    wire[2:4] = b"\x01\x00"
    wire[place : place + len(noise)] = noise
    try:
        query = queries.read(bytes(wire), is_tcp=True)
    except queries.BadQueryError:
        return
    DNSRecord.parse(Answers("c1").to(query, TABLE) or queries.failure(query))


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (DNSRecord.question("web").pack()[:11], None),
        (ask("c2", "web").pack(), None),  # an answer is no query: two servers would never end
        (b"\x12\x34\x28\x00" + bytes(8), RCODE.NOTIMP),
        (b"\x12\x34\x01\x00" + bytes(8), RCODE.FORMERR),
        (DNSRecord.question("web").pack() + bytes(5000), RCODE.FORMERR),
    ],
)
def test_what_is_no_query(wire, code):
    with pytest.raises(queries.BadQueryError) as caught:
        queries.read(wire, is_tcp=False)
    reply = caught.value.reply
    assert (None if reply is None else DNSRecord.parse(reply).header.rcode) == code


def test_only_who_has_a_way_to_elsewhere_is_forwarded():
    table = Table(
        NETWORKS,
        [
            sandbox("in", endpoint("b", "10.0.0.2", "a", gateway=""), dns=("9.9.9.9",)),
            sandbox(
                "out",
                endpoint("b", "10.0.0.3", "b", gateway=""),
                endpoint("g", "10.1.0.3", "b"),
                dns=("9.9.9.9",),
            ),
        ],
    )
    assert table.servers("in") == table.servers("nobody") == []
    assert table.servers("out") == ["9.9.9.9"]


def test_a_budget_is_used_up_and_comes_again():
    budget = Budget(rate=8, most=3, now=100)
    assert [budget.take(100) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(100.0625)
    assert budget.take(100.125)
    assert [budget.take(200) for _ in range(4)] == [True, True, True, False]
