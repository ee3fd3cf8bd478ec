"""Chains written for nft, read and changed by `nft` itself (libnftables-json(5))."""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labkit.errors import LabkitError
from labkit.networks.passage import chains
from labkit.networks.passage.chains import Chain, Place, Rule
from labkit.networks.passage.ways import Match

_TIMEOUT_S = 10
_WITHOUT_CONDITION = frozenset({"counter", "log", "accept", "drop", "reject", "return"})
_VERDICTS = {
    "accept": chains.ACCEPT,
    "drop": chains.DROP,
    "reject": chains.DROP,
    "return": chains.RETURN,
}


class Table(NamedTuple):
    """One table with a base chain."""

    family: str
    table: str
    name: str
    """The name of the base chain."""

    def __str__(self) -> str:
        return f"chain {self.name} (nft table {self.family} {self.table})"

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of IP whose packets it sees."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))

    def read(self) -> dict[str, Chain]:
        """The chains of the table; LabkitError, also if it does not exist any more."""
        return parse(run(["-j", "-a", "list", "table", self.family, self.table]))

    def let_through(
        self, now: Mapping[str, Chain], own: str, matches: Sequence[Match]
    ) -> str | None:
        """The commands that make chain `own` accept the matches; None if it already does.  Pure."""
        where = f"{self.family} {self.table}"
        others = chains.without(now, own)
        if not matches or not chains.is_blocking(others, self.name):
            return _take_back(where, now, own)
        texts = [f"{match.as_nft()} accept" for match in matches]
        mark = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
        target = chains.place(others, self.name)
        standing = list(chains.jumps(now, own))
        is_same = own in now and len(now[own].rules) == len(texts)
        if is_same and chains.is_placed(standing, target) and standing[0][1].comment == mark:
            return None
        lines = [f"add chain {where} {own}", f"flush chain {where} {own}"]
        lines += [f"add rule {where} {own} {text}" for text in texts]
        lines += _delete(where, standing)
        lines.append(f'{_at(where, others, target)} jump {own} comment "{mark}"')
        return "\n".join([*lines, ""])

    def apply(self, commands: str) -> None:
        """Execute commands by nft, all or none; LabkitError with its message."""
        run(["-f", "-"], commands)


def _at(where: str, others: Mapping[str, Chain], target: Place) -> str:
    rules = others[target.chain].rules
    if target.at < len(rules):
        return f"insert rule {where} {target.chain} handle {rules[target.at].handle}"
    return f"add rule {where} {target.chain}"


def _delete(where: str, standing: Sequence[tuple[Place, Rule]]) -> list[str]:
    return [f"delete rule {where} {place.chain} handle {rule.handle}" for place, rule in standing]


def _take_back(where: str, now: Mapping[str, Chain], own: str) -> str | None:
    if own not in now:
        return None
    jumps = _delete(where, list(chains.jumps(now, own)))
    return "\n".join([*jumps, f"flush chain {where} {own}", f"delete chain {where} {own}", ""])


def parse(text: str) -> dict[str, Chain]:
    """The chains in the output of `nft --json list table`."""
    found: dict[str, Chain] = {}
    for item in json.loads(text)["nftables"]:
        if chain := item.get("chain"):
            found[chain["name"]] = Chain(chain.get("policy", ""), [])
        elif rule := item.get("rule"):
            known = found[rule["chain"]]
            found[rule["chain"]] = known._replace(rules=[*known.rules, _rule(rule)])
    return found


def _rule(rule: Mapping[str, Any]) -> Rule:
    is_for_all, verdict, target = True, "", ""
    for expression in rule.get("expr", ()):
        for word, value in expression.items():
            if word in (chains.JUMP, chains.GOTO):
                verdict, target = word, value["target"]
            elif word in _WITHOUT_CONDITION:
                verdict = _VERDICTS.get(word, verdict)
            elif word != "match" or not _is_met_by_new(value):
                is_for_all = False
    comment = rule.get("comment", "")
    return Rule(verdict, target, is_for_all, handle=rule["handle"], comment=comment)


def _is_met_by_new(match: Mapping[str, Any]) -> bool:
    """Whether a condition holds for every packet that begins a connection: it is `ct state new`."""
    is_state = match["left"] == {"ct": {"key": "state"}}
    return is_state and match["op"] in ("==", "in") and match["right"] == "new"


def run(arguments: Sequence[str], given: str = "") -> str:
    """Run nft and return its output; LabkitError with its message."""
    try:
        done = subprocess.run(
            ["nft", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabkitError(f"nft failed: {error}") from None
    if done.returncode:
        raise LabkitError(f"nft failed: {done.stderr.strip()}")
    return done.stdout
