"""Chains of iptables, by its own programs: the nf_tables variant and the legacy one.

`iptables-save` shows the chains of a table as text, and `iptables-restore --noflush` changes them
in one transaction.  nft must not change a table of iptables, for iptables refuses to work with
rules that it cannot read.  Source: iptables(8), iptables-restore(8).
"""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from labkit.errors import LabkitError
from labkit.networks.passage import chains
from labkit.networks.passage.chains import Chain, Rule
from labkit.networks.passage.ways import Match

BASE = "FORWARD"
TABLES = ("filter", "mangle", "security")
"""The tables that may have a chain for forwarded packets."""
_TIMEOUT_S = 10
_WAIT_S = "5"
_VERDICTS = {
    "ACCEPT": chains.ACCEPT,
    "DROP": chains.DROP,
    "REJECT": chains.DROP,
    "RETURN": chains.RETURN,
}
_NO_CONDITIONS = ("", "-m conntrack --ctstate NEW", "-m state --state NEW")
"""Conditions that every packet meets which begins a connection."""


class Table(NamedTuple):
    """One table of one variant of iptables."""

    version: int
    """4 or 6."""
    kind: str
    """`nft` or `legacy`."""
    table: str
    name: str = BASE
    """The name of the base chain."""

    def __str__(self) -> str:
        return f"chain {self.name} ({self._program('save')} -t {self.table})"

    @property
    def versions(self) -> tuple[int, ...]:
        """The version of IP whose packets it sees."""
        return (self.version,)

    def _program(self, what: str) -> str:
        return f"ip{'6' if self.version == 6 else ''}tables-{self.kind}-{what}"

    def is_readable(self) -> bool:
        """Whether iptables is installed and can read the table; not every table of nft's."""
        try:
            return self.name in self.read()
        except LabkitError:
            return False

    def read(self) -> dict[str, Chain]:
        """The chains of the table; LabkitError."""
        return parse(_run([self._program("save"), "-t", self.table]))

    def let_through(
        self, now: Mapping[str, Chain], own: str, matches: Sequence[Match]
    ) -> str | None:
        """The commands that make chain `own` accept the matches; None if it already does.  Pure."""
        wanted = [f"{match.as_iptables()} -j ACCEPT" for match in matches]
        others = chains.without(now, own)
        if not wanted or not chains.is_blocking(others, self.name):
            return self._take_back(now, own)
        target = chains.place(others, self.name)
        standing = list(chains.jumps(now, own))
        is_placed = chains.is_placed(standing, target)
        if is_placed and own in now and [rule.text for rule in now[own].rules] == wanted:
            return None
        lines = [f":{own} - [0:0]", *(f"-A {own} {text}" for text in wanted)]
        if not is_placed:
            lines += [f"-D {place.chain} -j {own}" for place, _ in standing]
            lines.append(f"-I {target.chain} {target.at + 1} -j {own}")
        return self._commands(lines)

    def _take_back(self, now: Mapping[str, Chain], own: str) -> str | None:
        if own not in now:
            return None
        jumps = [f"-D {place.chain} -j {own}" for place, _ in chains.jumps(now, own)]
        return self._commands([f":{own} - [0:0]", *jumps, f"-X {own}"])

    def _commands(self, lines: Sequence[str]) -> str:
        return "\n".join([f"*{self.table}", *lines, "COMMIT", ""])

    def apply(self, commands: str) -> None:
        """Execute commands by iptables, all or none; LabkitError with its message."""
        # The legacy variant needs a lock, which Docker often holds.
        options = ["--wait", _WAIT_S] if self.kind == "legacy" else []
        _run([self._program("restore"), "--noflush", *options], commands)


def legacy_tables(version: int) -> list[Table]:
    """The tables that legacy iptables uses.  This look does not create any."""
    path = f"/proc/net/ip{'6' if version == 6 else ''}_tables_names"
    try:
        with open(path, encoding="ascii") as file:
            names = file.read().split()
    except OSError:
        return []
    return [Table(version, "legacy", name) for name in TABLES if name in names]


def parse(text: str) -> dict[str, Chain]:
    """The chains in the output of `iptables-save`."""
    found: dict[str, Chain] = {}
    for line in text.splitlines():
        if line.startswith(":"):
            name, policy = line[1:].split()[:2]
            found[name] = Chain(_VERDICTS.get(policy, ""), [])
        elif line.startswith("-A "):
            _, name, *words = shlex.split(line)
            rules = found[name].rules
            found[name] = found[name]._replace(rules=[*rules, _rule(words, line, found)])
    return found


def _rule(words: list[str], line: str, known: dict[str, Chain]) -> Rule:
    text = line.split(None, 2)[2] if len(words) else ""
    comment = ""
    if words[:3:2] == ["-m", "--comment"] and words[1] == "comment":
        comment, words = words[3], words[4:]
    verb = next((word for word in ("-j", "-g") if word in words), "")
    if not verb:
        return Rule("", text=text, comment=comment)
    position = words.index(verb)
    target = words[position + 1]
    is_for_all = " ".join(words[:position]) in _NO_CONDITIONS
    if target in known:
        verdict = chains.JUMP if verb == "-j" else chains.GOTO
        return Rule(verdict, target, is_for_all, text=text, comment=comment)
    return Rule(_VERDICTS.get(target, ""), "", is_for_all, text=text, comment=comment)


def _run(command: list[str], given: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabkitError(f"{command[0]} failed: {error}") from None
    if done.returncode:
        raise LabkitError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
