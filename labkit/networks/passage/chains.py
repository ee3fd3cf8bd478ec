"""Chains of rules, whoever wrote them: which of them stop packets, and where to let some through.

Pure.  iptables and nft are read into the same few words, for a packet goes through both alike: a
base chain is a list of rules, a rule may lead into another chain, and at the end stands a policy.
An accept in one base chain does not lift a drop in another (nft(8)): so each that drops needs a
rule of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

ACCEPT, DROP, RETURN, JUMP, GOTO = "accept", "drop", "return", "jump", "goto"
FORESEEN = ("DOCKER-USER", "ufw-user-forward", "ufw6-user-forward")
"""Chains in which Docker and ufw leave room for the rules of others."""


class Rule(NamedTuple):
    """One rule."""

    verdict: str
    """One of the words above; empty if packets go on to the next rule."""
    target: str = ""
    """The chain that it leads into."""
    is_for_all: bool = False
    """Whether every packet that begins a connection meets its conditions."""
    handle: int = 0
    """The kernel's number of it, if nft has read it."""
    text: str = ""
    comment: str = ""


class Chain(NamedTuple):
    """One chain."""

    policy: str
    """What becomes of packets that no rule decides on; empty unless it is a base chain."""
    rules: Sequence[Rule]


Chains = Mapping[str, Chain]


class Place(NamedTuple):
    """Where a rule is to stand: before the rule of this index (`at`), or after the last."""

    chain: str
    at: int


def is_blocking(chains: Chains, base: str) -> bool:
    """Whether a base chain drops packets that none of its rules is about."""
    return chains[base].policy == DROP or _stop(chains, base) is not None


def place(chains: Chains, base: str) -> Place:
    """Where packets are let through: after all that its owner decides, before it drops the rest."""
    for name in FORESEEN:
        if name in chains and name in _always_passed(chains, base):
            break
    else:
        name = base
    rules = chains[name].rules
    index = _stop(chains, name)
    if index is None:
        index = len(rules)
        for position, rule in enumerate(rules):
            if rule.is_for_all and rule.verdict in (RETURN, ACCEPT, GOTO):
                index = position
                break
    return Place(name, index)


def without(chains: Chains, target: str) -> dict[str, Chain]:
    """The chains as they are without the rules that lead into `target`."""
    return {
        name: chain._replace(rules=[rule for rule in chain.rules if rule.target != target])
        for name, chain in chains.items()
    }


def jumps(chains: Chains, target: str) -> Iterator[tuple[Place, Rule]]:
    """Every rule that leads into `target`, and where it stands."""
    for name, chain in chains.items():
        for index, rule in enumerate(chain.rules):
            if rule.target == target:
                yield Place(name, index), rule


def is_placed(standing: Sequence[tuple[Place, Rule]], target: Place) -> bool:
    """Whether one rule stands where it is to, or before that in the same chain."""
    found = [place for place, _ in standing]
    return len(found) == 1 and found[0].chain == target.chain and found[0].at <= target.at


def _stop(chains: Chains, name: str, above: tuple[str, ...] = ()) -> int | None:
    """The index of the first rule at which every packet is dropped; None if there is none."""
    if name not in chains or name in above:
        return None
    for index, rule in enumerate(chains[name].rules):
        if not rule.is_for_all:
            continue
        if rule.verdict == DROP:
            return index
        leads = rule.verdict in (JUMP, GOTO)
        if leads and _stop(chains, rule.target, (*above, name)) is not None:
            return index
        if rule.verdict in (ACCEPT, RETURN, GOTO):
            return None
    return None


def _always_passed(chains: Chains, name: str) -> set[str]:
    """The chains that every packet comes through which no rule has decided on before."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        chain = chains.get(waiting.pop())
        for rule in chain.rules if chain else ():
            if rule.is_for_all and rule.verdict in (JUMP, GOTO) and rule.target not in found:
                found.add(rule.target)
                waiting.append(rule.target)
    return found
