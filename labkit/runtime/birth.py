"""The start of one process of a container: clone it, run its operations, read its report.

When the process enters a PID namespace, a copy of it continues there (`EnterPidNamespace`), where
the container's processes see it.  They can stop it, and write to its report.  So every wait for it
here has a time limit, and only what the kernel confirms is taken from its report.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from labkit.runtime import executor, reaper
from labkit.runtime.operations import Context, Operation

START_S = 50.0
"""How long a process may take for its operations; the daemon waits a little longer."""
ENTERED_S = 10.0
"""How long the operations may take that remain when the container's processes can see it."""
CHECK_S = 0.1
"""The interval between two checks whether it was stopped."""
MOST_REPORTED = 1024 * 1024
_FORGED = "a process of the container wrote to its report"
_REAP_TRIES, _REAP_PAUSE_S = 20, 0.005


class StepFailedError(Exception):
    """An operation of the plan failed: its index among all operations, its errno, and its text."""

    def __init__(self, index: int, number: int, text: str, durations_ns: list[int]) -> None:
        super().__init__(index, number, text, durations_ns)


class Born(NamedTuple):
    """A process that now runs its own program."""

    pid: int
    pidfd: int
    durations_ns: list[int]
    """The time that each operation took, the clone first and the exec last."""


class Birth:
    """A process on its way from the clone to its own program.

    `clone` returns (pid, pidfd) here and (0, -1) in the new process, as `Clone.clone` does.  The
    caller watches `report_fd`: it calls `hear` when that is readable, and `check` every `CHECK_S`.
    StepFailedError, from either of them, is the end of the start.  The caller closes `report_fd`.
    """

    def __init__(
        self,
        clone: Callable[[], tuple[int, int]],
        operations: list[Operation],
        context: Context,
        children: set[int] | None = None,
    ) -> None:
        """`children` are the pids that other code reaps; the new process is added to them."""
        self.report_fd, report_write = os.pipe()
        self._began = time.perf_counter_ns()
        self._last_index = len(operations)
        self._children = set() if children is None else children
        self._reported = b""
        self._deadline = time.monotonic() + START_S
        self._entered_pid = 0
        try:
            self._pid, self._pidfd = clone()
        except OSError as error:
            os.close(self.report_fd)
            os.close(report_write)
            raise StepFailedError(0, error.errno or 0, str(error), []) from None
        if self._pid == 0:
            reaper.sleep_at_ends()
            executor.run(operations, context, report_write)
        self._children.add(self._pid)
        self._clone_ns = time.perf_counter_ns() - self._began
        os.close(report_write)

    def wait(self) -> Born:
        """Wait until the process runs its program; StepFailedError as `hear` and `check`."""
        poll = select.poll()
        poll.register(self.report_fd, select.POLLIN)
        try:
            while True:
                if not poll.poll(CHECK_S * 1000):
                    self.check()
                elif (born := self.hear()) is not None:
                    return born
        finally:
            os.close(self.report_fd)

    def hear(self) -> Born | None:
        """Read a part of the report; return the process once the report is complete."""
        part = os.read(self.report_fd, 65536)
        self._reported += part
        if len(self._reported) > MOST_REPORTED:
            raise self.given_up(errno.EMSGSIZE, _FORGED)
        return None if part else self._finish()

    def check(self) -> None:
        """Kill the process, and raise StepFailedError, if it was stopped or takes too long."""
        first, newline, _ = self._reported.partition(b"\n")
        if newline and first.startswith(b"p "):
            self._enter(first[2:])
        if self._entered_pid and _is_stopped(self._entered_pid):
            raise self.given_up(errno.EINTR, "a process of the container stopped it (SIGSTOP)")
        if time.monotonic() > self._deadline:
            raise self.given_up(errno.ETIMEDOUT, "it did not become the program in time")

    def _enter(self, word: bytes | int) -> None:
        """Note the copy in the PID namespace; only a child of this process can be it."""
        if self._entered_pid:
            return
        try:
            pid = int(word)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (ValueError, OverflowError, ChildProcessError):
            pid = 0
        if not pid or pid in self._children:
            raise self.given_up(errno.EBADMSG, _FORGED)
        self._entered_pid = pid
        self._children.add(pid)
        self._deadline = min(self._deadline, time.monotonic() + ENTERED_S)

    def _finish(self) -> Born:
        try:
            report = executor.parse_report(self._reported, self._last_index)
        except ValueError:
            raise self.given_up(errno.EBADMSG, _FORGED) from None
        if report.entered_pid:
            self._enter(report.entered_pid)
        durations = [self._clone_ns, *report.durations_ns]
        if report.failed:
            self.given_up(0, "")
            raise StepFailedError(1 + report.failed_index, report.errno, report.text, durations)
        pid, pidfd = self._pid, self._pidfd
        if self._entered_pid:
            os.waitpid(pid, 0)
            os.close(pidfd)
            self._children.discard(pid)
            pid, pidfd = self._entered_pid, os.pidfd_open(self._entered_pid)
        # The rest of the time is the last operation's, the exec.
        exec_ns = max(time.perf_counter_ns() - self._began - sum(durations), 0)
        return Born(pid, pidfd, [*durations, exec_ns])

    def given_up(self, number: int, text: str) -> StepFailedError:
        """Kill the process, and return the error to raise, which names its last step."""
        for pid in filter(None, (self._pid, self._entered_pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # a child that is not reaped keeps its number
            _reap(pid)
            self._children.discard(pid)
        os.close(self._pidfd)
        return StepFailedError(self._last_index, number, text, [self._clone_ns])


def _is_stopped(pid: int) -> bool:
    """Whether a signal has stopped this child; the call does not reap it."""
    flags = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
    found = os.waitid(os.P_PID, pid, flags)
    return found is not None and found.si_code == os.CLD_STOPPED


def _reap(pid: int) -> None:
    """Reap a child that was killed; `labkit.runtime.reaper` reaps one that takes longer to end."""
    for _ in range(_REAP_TRIES):
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is None:
                time.sleep(_REAP_PAUSE_S)
                continue
        return


def exit_code_of(pidfd: int) -> int:
    """Reap a process that has ended; return its exit code, or 128 plus the signal, as a shell."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    if result is None:
        return 0
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
