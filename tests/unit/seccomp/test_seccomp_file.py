"""A filter from a profile of one's own, tried by a process that has loaded it."""

import errno
import json
import subprocess
import sys

import pytest

from labkit.kernel import seccomp_file

pytest.importorskip("pyseccomp")

CHILD = """
import os, sys
from labkit.kernel import processes, seccomp
processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
seccomp.load(bytes.fromhex(sys.argv[1]))
def errno_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
make = lambda: os.mkdir("/proc/x", dir_fd=os.open("/", os.O_PATH))
print(errno_of(make), errno_of(os.getpriority, 0, 0), errno_of(os.getpriority, 1, 0))
"""


def answers(rule, capabilities=()):
    """The errno of mkdirat, getpriority(0, 0) and getpriority(1, 0) under a filter.

    Of mkdirat, since a newer architecture such as arm64 has no mkdir.
    """
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    program = seccomp_file.compile_profile(seccomp_file.parse(json.dumps(profile)), capabilities)
    command = [sys.executable, "-c", CHILD, program.hex()]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [int(word) for word in output.split()]


MKDIR = {"names": ["mkdirat", "nosuchcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
FREE = [errno.ENOENT, 0, 0]
HELD = [errno.EXDEV, 0, 0]


def test_an_action_with_its_number():
    assert answers(MKDIR) == HELD
    assert answers({"name": "mkdirat", "action": "SCMP_ACT_ERRNO"}) == [errno.EPERM, 0, 0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, FREE),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, HELD),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, FREE),
        ({"includes": {"minKernel": "4.8"}}, HELD),
        ({"includes": {"minKernel": "999.0"}}, FREE),
        ({"includes": {"arches": ["s390x"]}}, FREE),
        ({"includes": {}, "excludes": None, "args": None, "comment": ""}, HELD),
    ],
)
def test_a_rule_that_holds_under_a_condition(condition, expected):
    assert answers(MKDIR | condition, ["CHOWN"]) == expected


def test_arguments():
    first = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    rule = {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "args": [first]}
    assert answers(rule) == [errno.ENOENT, 0, errno.EPERM]
    both = [first, {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]
    assert answers(rule | {"args": both}) == [errno.ENOENT, errno.EPERM, errno.EPERM]


@pytest.mark.parametrize(
    "rule",
    [
        {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
        {"names": ["mkdir"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]},
        {"names": ["mkdir"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "LIKE"}]},
        {"names": "mkdir", "action": "SCMP_ACT_LOG"},
    ],
)
def test_what_is_no_profile(rule):
    with pytest.raises(ValueError, match=r"\w"):
        seccomp_file.parse(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
