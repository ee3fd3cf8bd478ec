"""How a container ended: written by the shim, read by the daemon.

For a shim that was killed, the daemon writes it.
"""

from typing import NamedTuple

KILLED = 137
"""The exit code of a process that SIGKILL ended: 128 plus 9."""


class ExitStatus(NamedTuple):
    """The end of the first process, on disk as one line of JSON in `exit.json`."""

    code: int
    """0 to 255; 128 plus the number of the signal that killed it."""
    killed_for_memory: bool
    """Whether the kernel killed a process of the container because memory ran out."""
    finished_at: str
    """RFC 3339, UTC."""
    durations_ns: list[int]
    """The time that each step of the start took."""
    is_lost: bool = False
    """Whether the daemon wrote it, because the shim was killed."""

    def to_bytes(self) -> bytes:
        """Return the line of JSON, with Docker's names for the fields."""
        killed = "true" if self.killed_for_memory else "false"
        steps = ",".join(map(str, self.durations_ns))
        lost = ',"ShimKilled":true' if self.is_lost else ""
        text = (
            f'{{"ExitCode":{self.code},"OOMKilled":{killed},'
            f'"FinishedAt":"{self.finished_at}","StepsNs":[{steps}]{lost}}}\n'
        )
        return text.encode()
