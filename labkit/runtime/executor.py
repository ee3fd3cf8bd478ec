"""Run the plan in the container's first process, and report on each operation.

The report goes to the shim through a pipe that the exec closes.  It has three kinds of line: `t`
and the nanoseconds of each completed operation, written just before the exec; or `e`, the index of
the operation that failed, its errno and its text; and before these `p` and the pid of the process
that continues in another PID namespace.  An end of file without `e` means that the container's
own program runs.
"""

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from labkit.kernel.files import write_all

if TYPE_CHECKING:
    from labkit.runtime.operations import Context, Operation

FAILED_BEFORE_EXEC = 125
_ERRNO_END = 4096
"""The kernel's own bound (MAX_ERRNO)."""
_DURATION_END = 1 << 60


class Report(NamedTuple):
    """The child's progress: the durations of completed operations, and the failure if any."""

    durations_ns: list[int]
    failed_index: int
    errno: int
    text: str
    entered_pid: int = 0
    """The process in the PID namespace that was entered; 0 if none was."""

    @property
    def failed(self) -> bool:
        """Whether an operation failed."""
        return self.failed_index >= 0


def run(operations: "list[Operation]", context: "Context", report_fd: int) -> None:
    """Execute the operations; the last one replaces the program, so this never returns."""
    context.report_fd = report_fd
    index = 0
    durations: list[int] = []
    clock = time.perf_counter_ns
    try:
        last = len(operations) - 1
        begin = clock()
        for index, operation in enumerate(operations):
            if index == last:
                _report_durations(report_fd, durations)
            operation.execute(context)
            now = clock()
            durations.append(now - begin)
            begin = now
    except OSError as error:
        if index < len(operations) - 1:
            _report_durations(report_fd, durations)
        text = error.strerror or str(error)
        if error.filename and str(error.filename) not in text:
            text = f"{error.filename}: {text}"
        _write_line(report_fd, f"e {index} {error.errno or 0} {text}")
    except Exception as error:  # a defect of labkit: name it, for no traceback is visible here
        _write_line(report_fd, f"e {index} 0 {type(error).__name__}: {error}")
    finally:
        os._exit(FAILED_BEFORE_EXEC)


def _report_durations(report_fd: int, durations: list[int]) -> None:
    _write_line(report_fd, "t " + " ".join(map(str, durations)))


def _write_line(report_fd: int, line: str) -> None:
    write_all(report_fd, line.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n")


def parse_report(data: bytes, count: int) -> Report:
    """Parse the child's report, in the shim: `run` wrote it, up to the exec or a failure.

    `count` is the number of operations.  In a PID namespace that was entered other processes can
    write to the report; ValueError for anything that the child would not have written.
    """
    durations: list[int] = []
    pid = 0
    for line in data.decode("utf-8", "replace").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "t":
            durations = [int(word) for word in rest.split()]
        elif kind == "p":
            pid = int(rest)
        else:
            index, number, text = rest.split(" ", 2)
            report = Report(durations, int(index), int(number), text, pid)
            break
    else:
        report = Report(durations, -1, 0, "", pid)
    if not (
        report.failed_index < count
        and 0 <= report.errno < _ERRNO_END
        and len(durations) <= count
        and all(0 <= duration < _DURATION_END for duration in durations)
    ):
        raise ValueError(report)
    return report
