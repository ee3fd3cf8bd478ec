"""The executor, run for real in a child, with operations that need no root."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from labkit.runtime import executor
from labkit.runtime import operations as op


def execute(operations, environment=None):
    """Run the operations in a forked child; (its report, what it printed, its exit status)."""
    report_read, report_write = os.pipe()
    out_read, out_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        stdin = os.open("/dev/null", os.O_RDONLY)
        context = op.Context((stdin, out_write, out_write), dict(environment or {"PATH": "/bin"}))
        executor.run(operations, context, report_write)
    os.close(report_write)
    os.close(out_write)
    with open(report_read, "rb") as reported:
        report = executor.parse_report(reported.read(), len(operations))
    with open(out_read, "rb") as output:
        text = output.read()
    return report, text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_last_operation_becomes_the_program():
    report, text, status = execute(
        [op.ConnectStdio(), op.CloseDescriptorsOnExec(), op.Exec(("sh", "-c", "echo hi; exit 7"))]
    )
    assert (text, status) == (b"hi\n", 7)
    assert not report.failed
    assert len(report.durations_ns) == 2
    assert all(duration >= 0 for duration in report.durations_ns)


def test_a_failure_names_the_operation_and_the_errno():
    report, _, status = execute([op.EnterDirectory("/dev/null/x"), op.Exec(("true",))])
    assert status == executor.FAILED_BEFORE_EXEC
    assert (report.failed_index, report.errno) == (0, errno.ENOTDIR)
    assert "/dev/null/x" in report.text


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("nosuch-program",), errno.ENOENT),
        (("/nosuch/program",), errno.ENOENT),
        (("/etc/passwd",), errno.EACCES),
        (("/etc",), errno.EACCES),
    ],
)
def test_an_exec_that_fails_is_told_with_the_durations_of_the_rest(command, number):
    report, _, _ = execute([op.ConnectStdio(), op.Exec(command)])
    assert (report.failed_index, report.errno) == (1, number)
    assert len(report.durations_ns) == 1


def test_no_descriptor_but_stdio_reaches_the_program():
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        _, text, _ = execute(
            [op.ConnectStdio(), op.CloseDescriptorsOnExec(), op.Exec(("ls", "/proc/self/fd"))]
        )
    finally:
        os.close(leaked)
    # The fourth is ls reading the folder.
    assert text.split() == [b"0", b"1", b"2", b"3"]


def test_no_signal_is_ignored_in_the_program():
    """Neither those that Python ignores, nor those that who started us does, as nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _, text, _ = execute([op.ConnectStdio(), op.Exec(("grep", "SigIgn", "/proc/self/status"))])
    finally:
        signal.signal(signal.SIGHUP, before)
    # 32 and 33 are glibc's own, which its posix_spawn (of make, say) leaves ignored: no signal(2)
    # of a program can reach them.
    assert int(text.split()[1], 16) & ((1 << 31) - 1) == 0


def test_a_defect_of_ours_is_reported_and_not_lost():
    class Broken:
        def call(self):
            return "broken()"

        def execute(self, context):
            raise ZeroDivisionError("oh")

    report, _, status = execute([Broken()])
    assert status == executor.FAILED_BEFORE_EXEC
    assert report.text == "ZeroDivisionError: oh"


IGNORING = """
import ctypes, os, signal
from struct import pack
from labkit.kernel import processes
from labkit.runtime.operations.stdio import heed_all_signals

sigaction = 13 if os.uname().machine == "x86_64" else 134
for number in (32, 33):  # the C library's own: only the kernel can be asked
    done = ctypes.CDLL(None).syscall(sigaction, number, pack("4Q", 1, 0, 0, 0), None, 8)
    assert done == 0
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGRTMAX, signal.SIG_IGN)
assert {signal.SIGHUP, signal.SIGRTMAX} <= set(processes.ignored_signals())
heed_all_signals()
assert processes.ignored_signals() == []
"""


def test_signals_that_the_c_library_keeps_for_itself_may_be_ignored():
    """Debian 12's `make` starts its commands so."""
    done = subprocess.run(
        [sys.executable, "-c", IGNORING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
