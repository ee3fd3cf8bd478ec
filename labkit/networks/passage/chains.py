"""Chains of rules of any program: which of them drop packets, and where to let some through.

Pure.  iptables and nft are read into the same types, for a packet goes through both alike: a base
chain is a list of rules, a rule may jump to another chain, and a policy decides about the rest.
An accept in one base chain does not prevent a drop in another (nft(8)): so each chain that drops
needs its own rule.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

ACCEPT, DROP, RETURN, JUMP, GOTO = "accept", "drop", "return", "jump", "goto"
FORESEEN = ("DOCKER-USER", "ufw-user-forward", "ufw6-user-forward")
"""Chains in which Docker and ufw allow rules of other programs."""


class Rule(NamedTuple):
    """One rule."""

    verdict: str
    """One of the words above; empty if packets continue with the next rule."""
    target: str = ""
    """The chain that it jumps to."""
    is_for_all: bool = False
    """Whether it applies to every packet that begins a connection."""
    handle: int = 0
    """The kernel's number for it, if nft has read it."""
    text: str = ""
    comment: str = ""


class Chain(NamedTuple):
    """One chain."""

    policy: str
    """The fate of packets that no rule decides about; empty unless it is a base chain."""
    rules: Sequence[Rule]


Chains = Mapping[str, Chain]


class Place(NamedTuple):
    """The place for a rule: before the rule with the index `at`, or after the last one."""

    chain: str
    at: int


def is_blocking(chains: Chains, base: str) -> bool:
    """Whether a base chain drops packets that no other rule applies to."""
    return chains[base].policy == DROP or _stop(chains, base) is not None


def place(chains: Chains, base: str) -> Place:
    """The place to let packets through: after its owner's rules, before the one that drops."""
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
    """The chains without the rules that jump to `target`."""
    return {
        name: chain._replace(rules=[rule for rule in chain.rules if rule.target != target])
        for name, chain in chains.items()
    }


def jumps(chains: Chains, target: str) -> Iterator[tuple[Place, Rule]]:
    """Every rule that jumps to `target`, with its place."""
    for name, chain in chains.items():
        for index, rule in enumerate(chain.rules):
            if rule.target == target:
                yield Place(name, index), rule


def is_placed(standing: Sequence[tuple[Place, Rule]], target: Place) -> bool:
    """Whether there is one rule, at its place or earlier in the same chain."""
    found = [place for place, _ in standing]
    return len(found) == 1 and found[0].chain == target.chain and found[0].at <= target.at


def _stop(chains: Chains, name: str, above: tuple[str, ...] = ()) -> int | None:
    """The index of the first rule that drops every packet; None if there is none."""
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
    """The chains that every packet passes which no earlier rule has decided about."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        chain = chains.get(waiting.pop())
        for rule in chain.rules if chain else ():
            if rule.is_for_all and rule.verdict in (JUMP, GOTO) and rule.target not in found:
                found.add(rule.target)
                waiting.append(rule.target)
    return found
