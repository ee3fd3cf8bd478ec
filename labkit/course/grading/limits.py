"""The part of the machine that a submission may use.

Its seconds are those of `exercises.looks.clock`: a busy machine takes none of them away.
"""

from typing import NamedTuple

MIB = 1024 * 1024


class Limits(NamedTuple):
    """The limits of one submission; sizes in bytes, times in seconds of its clock."""

    memory_bytes: int = 1024 * MIB
    disk_bytes: int = 768 * MIB
    pids: int = 400
    cpus: float = 1.5
    cell_s: float = 60.0
    """For one cell; the notebook goes on with the next one."""
    wall_s: float = 900.0
    """For the whole submission, its judge included."""
    output_bytes: int = MIB
    """For the output of one cell; the cell is interrupted then."""
