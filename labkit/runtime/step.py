"""A step: an operation with the name it is called by and the reason it is there."""

from typing import NamedTuple

from labkit.runtime.operations import Operation


class Step(NamedTuple):
    """One row of a plan.  The name is dotted, from the general to the particular: `mount.proc`."""

    name: str
    why: str
    operation: Operation

    def belongs_to(self, group: str) -> bool:
        """Whether this is the step, or one of the group of steps, that `group` names."""
        return self.name == group or self.name.startswith(f"{group}.")
