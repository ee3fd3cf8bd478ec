"""Control groups: the user's `Limits` turned into files, on cgroup v1, v2 or both.

Start with the two tables: `v1.RULES` and `v2.RULES` say which flag writes which file.
"""

from labkit.cgroups.layout import Layout, Usage, detect, from_mountinfo
from labkit.cgroups.limits import DiskLimit, Limits, check
from labkit.cgroups.placement import Group, Placement

__all__ = [
    "DiskLimit",
    "Group",
    "Layout",
    "Limits",
    "Placement",
    "Usage",
    "check",
    "detect",
    "from_mountinfo",
]
