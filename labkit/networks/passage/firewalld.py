"""firewalld: its zone `trusted` lets all packets from its links through.

firewalld owns its rules and writes them from its zones, so a foreign rule would be lost or refused.
labkit puts a link into the zone as long as firewalld runs, and writes nothing to its configuration.
firewalld already lets answers and packets to published ports through to containers.
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
_ZONE_CONFLICT = 18
"""The exit code of firewall-cmd for a link that is in another zone."""


def missing(family: str, bridges: Iterable[str]) -> list[str]:
    """The bridges that are in no zone; LabkitError.

    Bridges that an administrator has put into another zone stay there.
    """
    rules = nftables.run(["list", "table", family, TABLE])
    return [bridge for bridge in bridges if f'iifname "{bridge}"' not in rules]


def is_trusting(table: str, known: Chains) -> bool:
    """Whether a table is firewalld's, with a link in the zone."""
    zone = f"_{ZONE}"
    rules = (rule for name, chain in known.items() if "FORWARD" in name for rule in chain.rules)
    return table == TABLE and any(rule.target.endswith(zone) for rule in rules)


def trust(bridges: Iterable[str]) -> None:
    """Put bridges into the zone; LabkitError."""
    # An administrator may move a link between zones after `missing` has read the rules.
    _command([f"--add-interface={bridge}" for bridge in bridges], accepted=_ZONE_CONFLICT)


def forget(bridges: Iterable[str]) -> None:
    """Take bridges out of the zone; LabkitError.

    A reload of firewalld, or an administrator, may have done so before: firewall-cmd reports that
    as a failure, so only the links that are still in the zone are named.
    """
    held = _command(["--list-interfaces"]).split()
    if changes := [f"--remove-interface={bridge}" for bridge in bridges if bridge in held]:
        _command(changes)


def _command(changes: list[str], accepted: int = 0) -> str:
    program = shutil.which("firewall-cmd")
    if program is None:
        raise LabkitError("firewalld runs here, but its command firewall-cmd is not installed")
    # firewall-cmd accepts several of these options in one call.
    command = [program, f"--zone={ZONE}", *changes]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabkitError(f"firewall-cmd failed: {error}") from None
    if done.returncode not in (0, accepted):
        raise LabkitError(f"firewall-cmd failed: {done.stderr.strip()}")
    return done.stdout
