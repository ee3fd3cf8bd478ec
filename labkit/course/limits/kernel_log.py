"""The kernel's messages during an experiment, from /dev/kmsg (Documentation/ABI, dev-kmsg)."""

import os
from collections.abc import Iterator

RECORD_BYTES = 8192
"""The maximum length of a record."""


class KernelLog:
    """Reads the kernel's messages during the `with`; none if they must not be read.

    With kernel.dmesg_restrict a process needs CAP_SYSLOG to read them (syslog(2)).
    """

    def __init__(self) -> None:
        self._descriptor = -1

    def __enter__(self) -> "KernelLog":
        try:
            self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError:
            self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def lines(self) -> Iterator[str]:
        """The texts of the messages since the last call."""
        while self._descriptor >= 0:
            try:
                record = os.read(self._descriptor, RECORD_BYTES)
            except BrokenPipeError:  # the next record was overwritten: go on with the oldest left
                continue
            except BlockingIOError:
                return
            text = record.decode("utf-8", "replace").partition(";")[2]
            yield text.partition("\n")[0]


def killed_for_memory(lines: Iterator[str], group: str) -> str:
    """The kernel's message about the process it killed in the group with this name; "" if none.

    It logs two messages in turn: the group that was full (`oom-kill:…`), and the killed process.
    """
    is_ours, said = False, ""
    for line in lines:
        if line.startswith("oom-kill:"):
            is_ours = group in line
        elif is_ours and "Killed process" in line:
            said, is_ours = line, False
    return said
