"""What the kernel says while something happens, from /dev/kmsg (Documentation/ABI, dev-kmsg)."""

import os
from collections.abc import Iterator

RECORD_BYTES = 8192
"""A record is never longer."""


class KernelLog:
    """Reads what the kernel logs from the `with` on; nothing where it may not be read.

    syslog(2): with kernel.dmesg_restrict only who has CAP_SYSLOG may read it.
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
        """The texts of the messages that have come since the last call."""
        while self._descriptor >= 0:
            try:
                record = os.read(self._descriptor, RECORD_BYTES)
            except BrokenPipeError:  # what was next has been overwritten: the oldest that is left
                continue
            except BlockingIOError:
                return
            text = record.decode("utf-8", "replace").partition(";")[2]
            yield text.partition("\n")[0]


def killed_for_memory(lines: Iterator[str], group: str) -> str:
    """What the kernel said of the process it killed in the group with this name; "" if nothing.

    It says two things, in turn: which group was full (`oom-kill:…`), and whom it killed.
    """
    is_ours, said = False, ""
    for line in lines:
        if line.startswith("oom-kill:"):
            is_ours = group in line
        elif is_ours and "Killed process" in line:
            said, is_ours = line, False
    return said
