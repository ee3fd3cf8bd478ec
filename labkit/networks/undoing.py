"""`python -m labkit.networks.undoing`: undo what an engine did to the host's network.

For `make clean`, and only while labkitd does not run.  It finds what a killed daemon has left:
links by their names and by the records of networks, rules by the name of their table.  The run
folder has the host's earlier state of forwarding.
"""

import os

from labkit import ownership
from labkit.networks import bridges
from labkit.networks.records import NetworkRecords
from labkit.networks.rules import Rules
from labkit.paths import Paths


def undo(paths: Paths) -> None:
    """Remove every link and rule, and restore kernel parameters; OSError, LabkitError."""
    run = os.path.realpath(paths.run)
    prefix = ownership.link_prefix(paths.root)
    try:
        Rules(prefix, run, lambda: ([], [])).refresh()
    finally:
        names = {link.name for link in bridges.with_prefix(prefix)}
        if os.path.isdir(f"{paths.root}/networks"):
            names |= {network.bridge for network in NetworkRecords(paths.root).load_all()}
        bridges.unplug(names)


if __name__ == "__main__":
    undo(Paths.from_environment())
