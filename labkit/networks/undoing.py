"""`python -m labkit.networks.undoing`: take back what an engine did to the host's network.

For `make clean`, and only while labkitd does not run.  What a daemon that was killed has left is
found again: links by their names and by the records of networks, rules by the name of their table,
what the host forwarded before by what is written down in the run folder.
"""

import os

from labkit import ownership
from labkit.networks import bridges
from labkit.networks.records import NetworkRecords
from labkit.networks.rules import Rules
from labkit.paths import Paths


def undo(paths: Paths) -> None:
    """Leave no link, no rule and no kernel parameter; OSError, LabkitError."""
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
