"""A step: an operation with its name and the reason for it."""

from typing import NamedTuple

from labkit.runtime.operations import Operation


class Step(NamedTuple):
    """One row of a plan.  The name is dotted, from general to particular: `mount.proc`."""

    name: str
    why: str
    operation: Operation

    def belongs_to(self, group: str) -> bool:
        """Whether `group` names this step, or a group that it is in."""
        return self.name == group or self.name.startswith(f"{group}.")
