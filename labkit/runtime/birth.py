"""Making one process of a container: clone it, let it run its operations, hear how that went."""

import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from labkit.runtime import executor
from labkit.runtime.operations import Context, Operation


class StepFailedError(Exception):
    """An operation of the plan failed: its index among all operations, and what is known of it."""

    def __init__(self, index: int, number: int, text: str, durations_ns: list[int]) -> None:
        super().__init__(index, number, text, durations_ns)


class Born(NamedTuple):
    """A process that runs its own program by now."""

    pid: int
    pidfd: int
    durations_ns: list[int]
    """What each operation took, the clone first and the exec last."""


def give_birth(
    clone: Callable[[], tuple[int, int]],
    operations: list[Operation],
    context: Context,
    meanwhile: Callable[[], None],
) -> Born:
    """Clone a process that executes `operations`; StepFailedError if one of them fails.

    `clone` returns (pid, pidfd) here and (0, -1) in the new process, as `Clone.clone` does.  While
    the child goes through its operations there is time for something else: `meanwhile`; an OSError
    in it is a failure of the clone.
    """
    report_read, report_write = os.pipe()
    begin = time.perf_counter_ns()
    try:
        pid, pidfd = clone()
    except OSError as error:
        os.close(report_read)
        os.close(report_write)
        raise StepFailedError(0, error.errno or 0, str(error), []) from None
    if pid == 0:
        executor.run(operations, context, report_write)
    clone_ns = time.perf_counter_ns() - begin
    os.close(report_write)
    try:
        meanwhile()
    except OSError as error:
        os.close(report_read)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise StepFailedError(0, error.errno or 0, str(error), [clone_ns]) from None
    report = executor.read_report(report_read)
    os.close(report_read)
    durations = [clone_ns, *report.durations_ns]
    if report.failed:
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise StepFailedError(1 + report.failed_index, report.errno, report.text, durations)
    # What is left of the time is the last operation's, the exec.
    exec_ns = max(time.perf_counter_ns() - begin - sum(durations), 0)
    return Born(pid, pidfd, [*durations, exec_ns])


def exit_code_of(pidfd: int) -> int:
    """Reap a process that has ended: its exit code as a shell gives it, or 128 plus the signal."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    if result is None:
        return 0
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
