"""firewalld: its zone `trusted` lets everything through that comes from the links in it.

firewalld owns its rules and writes them from its zones, so a rule put among them would be lost or
refused.  A link is put into the zone for as long as firewalld runs, and nothing is written to its
configuration.  What goes to containers it lets through already where it is an answer, or published.
Source: firewall-cmd(1), firewalld.zones(5).
"""

import shutil
import subprocess
from collections.abc import Iterable

from labkit.errors import LabkitError
from labkit.networks.passage import nftables
from labkit.networks.passage.chains import Chains

TABLE = "firewalld"
ZONE = "trusted"
_TIMEOUT_S = 20


def missing(family: str, bridges: Iterable[str]) -> list[str]:
    """The bridges that are in no zone; LabkitError.

    Those that an administrator has put into another zone are left there.
    """
    rules = nftables.run(["list", "table", family, TABLE])
    return [bridge for bridge in bridges if f'iifname "{bridge}"' not in rules]


def is_trusting(table: str, known: Chains) -> bool:
    """Whether a table is firewalld's, and some link is in the zone."""
    zone = f"_{ZONE}"
    rules = (rule for name, chain in known.items() if "FORWARD" in name for rule in chain.rules)
    return table == TABLE and any(rule.target.endswith(zone) for rule in rules)


def trust(bridges: Iterable[str]) -> None:
    """Put bridges into the zone; LabkitError."""
    _command([f"--add-interface={bridge}" for bridge in bridges])


def forget(bridges: Iterable[str]) -> None:
    """Take bridges out of the zone; LabkitError.

    A reload of firewalld, or an administrator, may have done so before: firewall-cmd reports that
    as a failure, so only the links that are still in the zone are named.
    """
    held = _command(["--list-interfaces"]).split()
    if changes := [f"--remove-interface={bridge}" for bridge in bridges if bridge in held]:
        _command(changes)


def _command(changes: list[str]) -> str:
    program = shutil.which("firewall-cmd")
    if program is None:
        raise LabkitError("firewalld runs here, but its command firewall-cmd is not installed")
    # It takes one of these options several times.
    command = [program, f"--zone={ZONE}", *changes]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabkitError(f"firewall-cmd failed: {error}") from None
    if done.returncode:
        raise LabkitError(f"firewall-cmd failed: {done.stderr.strip()}")
    return done.stdout
