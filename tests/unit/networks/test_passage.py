"""Ways through other firewalls, as text: where a rule is put, and that none is put twice."""

import contextlib
import json

import pytest

from labkit.errors import LabkitError
from labkit.networks.model import Ipam, IpamConfig, Network
from labkit.networks.passage import Passage, firewalld, iptables, nftables, passage
from labkit.networks.passage.ways import Match, Ways, ways

OWN = "labkit-forward"
MATCHES = [Match("labkit0", "eth0"), Match("", "labkit0", ("RELATED", "ESTABLISHED"))]
TABLE = iptables.Table(4, "nft", "filter")
WANTED = (
    f"-A {OWN} -i labkit0 -o eth0 -j ACCEPT",
    f"-A {OWN} -o labkit0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
)
POLICY = ":INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]"
OPEN = POLICY.replace("DROP", "ACCEPT")
DOCKER = f"""*filter
{POLICY}
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER-USER -s 203.0.113.0/24 -j DROP
-A DOCKER-USER -j RETURN
"""
UFW = f"""*filter
{POLICY}
:ufw-before-forward - [0:0]
:ufw-reject-forward - [0:0]
:ufw-user-forward - [0:0]
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-reject-forward -j REJECT --reject-with icmp-port-unreachable
"""


def commands(saved: str) -> list[str]:
    text = TABLE.let_through(iptables.parse(saved), OWN, MATCHES)
    return text.splitlines() if text else []


@pytest.mark.parametrize(
    ("saved", "jump"),
    [
        (f"*filter\n{POLICY}\n", "-I FORWARD 1"),
        (f"*filter\n{POLICY}\n-A FORWARD -i eth9 -j DROP\n", "-I FORWARD 2"),
        (f"*filter\n{OPEN}\n-A FORWARD -m conntrack --ctstate NEW -j DROP\n", "-I FORWARD 1"),
        (f"*filter\n{OPEN}\n-A FORWARD -i a -j ACCEPT\n-A FORWARD -j REJECT\n", "-I FORWARD 2"),
        (f"*filter\n{OPEN}\n:x - [0:0]\n-A FORWARD -g x\n-A x -j LOG\n-A x -j DROP\n",
         "-I FORWARD 1"),
        (f'*filter\n{POLICY}\n-A FORWARD -m comment --comment "a b" -j DROP\n', "-I FORWARD 1"),
        (DOCKER, "-I DOCKER-USER 2"),
        (UFW, "-I ufw-user-forward 1"),
        (DOCKER.replace("-A FORWARD -j DOCKER-USER\n", ""), "-I FORWARD 2"),
    ],
)  # fmt: skip
def test_where_iptables_is_passed(saved, jump):
    assert commands(saved) == [
        "*filter",
        f":{OWN} - [0:0]",
        *WANTED,
        f"{jump} -j {OWN}",
        "COMMIT",
    ]


def test_a_chain_that_drops_nothing_is_left_alone():
    for verdict in ("ACCEPT", "DROP"):
        assert commands(f"*filter\n{OPEN}\n-A FORWARD -i a -o b -j {verdict}\n") == []
    assert commands(f"*filter\n{OPEN}\n:x - [0:0]\n-A FORWARD -j x\n-A x -j RETURN\n") == []


def passed(saved: str, where: str) -> str:
    lines = saved.rstrip().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("-A"))
    at = next(n for n, line in enumerate(lines) if line.startswith(f"-A {where}"))
    lines[at:at] = [f"-A {where} -j {OWN}"]
    lines[first:first] = [f":{OWN} - [0:0]"]
    return "\n".join([*lines, *WANTED])


def test_what_is_passed_already_is_left_alone():
    assert commands(passed(DOCKER, "DOCKER-USER")) == []


def test_a_rule_moves_when_docker_has_come():
    assert commands(passed(DOCKER, "FORWARD")) == [
        "*filter",
        f":{OWN} - [0:0]",
        *WANTED,
        f"-D FORWARD -j {OWN}",
        f"-I DOCKER-USER 2 -j {OWN}",
        "COMMIT",
    ]


def test_rules_of_former_links_are_replaced_and_the_jump_stays():
    found = commands(passed(DOCKER, "DOCKER-USER").replace("-o eth0", "-o eth7"))
    assert found == ["*filter", f":{OWN} - [0:0]", *WANTED, "COMMIT"]


def test_what_is_not_needed_any_more_is_removed():
    now = iptables.parse(passed(DOCKER, "DOCKER-USER"))
    removed = f"*filter\n:{OWN} - [0:0]\n-D DOCKER-USER -j {OWN}\n-X {OWN}\nCOMMIT\n"
    assert TABLE.let_through(now, OWN, []) == removed
    still = iptables.parse(passed(DOCKER.replace("FORWARD DROP", "FORWARD ACCEPT"), "DOCKER-USER"))
    assert TABLE.let_through(still, OWN, MATCHES) == removed
    assert TABLE.let_through(iptables.parse(DOCKER), OWN, []) is None


NFT = nftables.Table("inet", "filter", "forward")


def listed(policy: str, *rules: list[dict], chains: dict[str, list[list[dict]]] | None = None):
    items: list[dict] = [{"chain": {"name": "forward", "policy": policy, "hook": "forward"}}]
    every = {"forward": list(rules), **(chains or {})}
    items += [{"chain": {"name": name}} for name in chains or {}]
    handle = 10
    for name, known in every.items():
        for expressions in known:
            items.append({"rule": {"chain": name, "handle": handle, "expr": expressions}})
            handle += 1
    return nftables.parse(json.dumps({"nftables": items}))


MATCH = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}
NEW = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}
COUNTER = {"counter": {"packets": 0, "bytes": 0}}


@pytest.mark.parametrize(
    ("now", "where"),
    [
        (listed("drop"), "add rule inet filter forward"),
        (listed("drop", [MATCH, {"accept": None}]), "add rule inet filter forward"),
        (listed("accept", [MATCH, {"accept": None}], [COUNTER, {"reject": None}]),
         "insert rule inet filter forward handle 11"),
        (listed("accept", [{"jump": {"target": "rest"}}],
                chains={"rest": [[{"log": None}], [{"drop": None}]]}),
         "insert rule inet filter forward handle 10"),
        (listed("accept", [NEW, {"drop": None}]), "insert rule inet filter forward handle 10"),
    ],
)  # fmt: skip
def test_where_nft_is_passed(now, where):
    text = NFT.let_through(now, OWN, MATCHES)
    assert text is not None
    lines = text.splitlines()
    assert lines[:2] == [f"add chain inet filter {OWN}", f"flush chain inet filter {OWN}"]
    assert f'add rule inet filter {OWN} iifname "labkit0" oifname "eth0" accept' in lines
    assert lines[-1].startswith(f"{where} jump {OWN} comment ")


def test_nft_chains_that_drop_nothing_are_left_alone():
    for verdict in ("accept", "drop"):
        assert NFT.let_through(listed("accept", [MATCH, {verdict: None}]), OWN, MATCHES) is None


def test_what_networks_need():
    def network(bridge: str, *subnets: str, **more: object) -> Network:
        config = [IpamConfig(subnet=subnet) for subnet in subnets]
        return Network(bridge, bridge, "", ipam=Ipam(config=config), bridge=bridge, **more)

    found = ways(
        [
            network("lk0", "10.208.0.0/20", "fd00::/64"),
            network("lk1", "10.1.0.0/24", internal=True),
        ],
        ["eth0"],
    )
    assert Match("lk0", "eth0") in found.ipv4
    assert Match("lk1", "lk1") in found.ipv4
    assert not any("eth0" in match for match in found.ipv4 if "lk1" in match)
    assert Match("lk0", "eth0") in found.ipv6
    assert not any("lk1" in match for match in found.ipv6)


def test_a_link_that_firewalld_does_not_take_out_of_its_zone_stays_noted(tmp_path, monkeypatch):
    """firewalld was killed: its rules are there, and it answers nothing until it is started."""

    def refuse(bridges):
        raise LabkitError("FirewallD is not running")

    base = nftables.Table("inet", firewalld.TABLE, "filter_FORWARD")
    monkeypatch.setattr(passage, "places", lambda: [base])
    monkeypatch.setattr(firewalld, "missing", lambda family, bridges: [])
    monkeypatch.setattr(firewalld, "forget", refuse)
    note = tmp_path / "trusted-by-firewalld"
    note.write_text("labkit0")
    ours = Passage("labkit", str(tmp_path))
    assert len(ours.ensure(Ways())) == 1
    assert note.read_text() == "labkit0"
    monkeypatch.setattr(firewalld, "forget", lambda bridges: None)
    assert ours.ensure(Ways()) == []
    assert not note.exists()


@pytest.mark.parametrize(("code", "is_refused"), [(0, False), (18, False), (252, True)])
def test_a_link_that_was_just_moved_to_another_zone_is_left_there(
    tmp_path, monkeypatch, code, is_refused
):
    """A program in the place of firewall-cmd ends as it does; 252 is "not running"."""
    program = tmp_path / "firewall-cmd"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(LabkitError) if is_refused else contextlib.nullcontext():
        firewalld.trust(["labkit0"])
