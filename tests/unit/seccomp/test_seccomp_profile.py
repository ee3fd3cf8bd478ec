"""The system call filter: what it lets through, tried by a process that has loaded it."""

import errno
import json
import subprocess
import sys
from struct import unpack_from

import pytest

from labkit.kernel import namespaces, seccomp_profile
from labkit.kernel.seccomp_profile import ALLOWED, ALLOWED_WITH, allowed_names, compile_filter

pyseccomp = pytest.importorskip("pyseccomp")

DEFAULT_CAPABILITIES = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
    SYS_CHROOT KILL AUDIT_WRITE""".split()

CHILD = """
import ctypes, json, sys
from labkit.kernel import processes, seccomp
order = json.load(sys.stdin)
if order["program"]:
    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(bytes.fromhex(order["program"]))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
answers = []
for number, *arguments in order["calls"]:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
    answers.append(ctypes.get_errno() if result == -1 else 0)
json.dump(answers, sys.stdout)
"""

BAD_POINTER = 1

REFUSED = [
    ("mount", BAD_POINTER, BAD_POINTER, BAD_POINTER, 0, 0),
    ("umount2", BAD_POINTER, 0),
    ("pivot_root", BAD_POINTER, BAD_POINTER),
    ("setns", 2**32 - 1, 0),
    ("unshare", 0),
    ("unshare", namespaces.CLONE_NEWUSER),
    ("clone", namespaces.CLONE_NEWUSER | 0x800),  # CLONE_SIGHAND without CLONE_VM: EINVAL anyway
    ("keyctl", 0xFFFF),
    ("add_key", BAD_POINTER, BAD_POINTER, 0, 0, 0),
    ("bpf", 0xFFFF, 0, 0),
    ("perf_event_open", BAD_POINTER, 0, 0, 0, 0),
    ("userfaultfd", 0xFFFF),
    ("io_uring_setup", 0, BAD_POINTER),
    ("reboot", 0, 0, 0, 0),
    ("kexec_load", 0, 0, 0, 0xFFFF),
    ("init_module", BAD_POINTER, 0, BAD_POINTER),
    ("swapon", BAD_POINTER, 0),
    ("open_by_handle_at", 2**32 - 1, BAD_POINTER, 0),
    ("sethostname", BAD_POINTER, 2**32 - 1),
    ("personality", 0x0040000),  # ADDR_NO_RANDOMIZE
    ("socket", 38, 5, 0),  # AF_ALG
    ("socket", 40, 1, 0),  # AF_VSOCK
]
"""Calls the filter must answer with EPERM; harmless ones, should it let them through."""

PERMITTED = [
    ("getpid",),
    ("personality", 0xFFFFFFFF),
    ("socket", 1, 1, 0),  # AF_UNIX
    ("socket", 16, 3, 0),  # AF_NETLINK
    ("sched_yield",),
    ("umask", 0o22),
    ("getppid",),
]


def answers(calls: list[tuple[object, ...]], program: bytes) -> list[int]:
    """The errno of each call, 0 for success, in a process of its own under `program`."""
    resolved = [
        (
            pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
            if isinstance(name, str)
            else name,
            *a,
        )
        for name, *a in calls
    ]
    order = json.dumps({"program": program.hex(), "calls": resolved})
    child = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-c", CHILD], input=order, capture_output=True, text=True, timeout=30
    )
    assert child.returncode == 0, child.stderr
    result: list[int] = json.loads(child.stdout)
    return result


@pytest.fixture(scope="module")
def program() -> bytes:
    return compile_filter(DEFAULT_CAPABILITIES)


def test_it_is_an_array_of_instructions_and_always_the_same(program: bytes) -> None:
    assert len(program) % 8 == 0
    assert 8 < len(program) <= 8 * 4096  # BPF_MAXINSNS
    seccomp_profile._compile.cache_clear()
    assert compile_filter([f"CAP_{name}" for name in reversed(DEFAULT_CAPABILITIES)]) == program


def test_the_last_instruction_of_every_path_is_a_return(program: bytes) -> None:
    """No jump leaves the program; the kernel would refuse it."""
    count = len(program) // 8
    for index in range(count):
        code, if_true, if_false, value = unpack_from("=HBBI", program, 8 * index)
        if code == 0x05:
            assert index + 1 + value < count
        elif code & 7 == 5:
            assert index + 1 + max(if_true, if_false) < count


def test_what_is_refused(program: bytes) -> None:
    refused = dict(zip(map(str, REFUSED), answers(REFUSED, program), strict=True))
    assert refused == dict.fromkeys(map(str, REFUSED), errno.EPERM)


def test_the_same_calls_without_a_filter_fail_for_other_reasons() -> None:
    """Else the test above would pass with no filter at all."""
    unfiltered = answers(REFUSED, b"")
    assert sum(number != errno.EPERM for number in unfiltered) >= 8


def test_what_is_permitted(program: bytes) -> None:
    assert answers(PERMITTED, program) == [0] * len(PERMITTED)


def test_clone3_does_not_exist_so_that_programs_use_clone(program: bytes) -> None:
    assert answers([("clone3", 0, 0)], program) == [errno.ENOSYS]
    assert answers([("clone3", 0, 0)], b"") == [errno.EINVAL]


def test_calls_newer_than_the_profile_do_not_exist(program: bytes) -> None:
    newest = max(
        pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        for names in (*ALLOWED.values(), *ALLOWED_WITH.values())
        for name in names.split()
    )
    assert answers([(newest + 1,), (1000,)], program) == [errno.ENOSYS, errno.ENOSYS]


def test_names_that_libseccomp_does_not_know_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(seccomp_profile.ALLOWED, "of the future", "open_wormhole")
    seccomp_profile._compile.cache_clear()
    assert compile_filter([])
    seccomp_profile._compile.cache_clear()


def test_a_capability_opens_its_calls() -> None:
    with_boot = compile_filter(["CAP_SYS_BOOT"])
    assert answers([("reboot", 0, 0, 0, 0)], with_boot)[0] in {errno.EINVAL, errno.EPERM}
    assert "reboot" in allowed_names(["CAP_SYS_BOOT"])
    assert "reboot" not in allowed_names([])
    administrator = compile_filter(["SYS_ADMIN"])
    assert answers([("unshare", 0), ("clone3", 0, 0)], administrator) == [0, errno.EINVAL]


def test_no_name_is_listed_twice_and_none_is_misspelt() -> None:
    names = [name for group in ALLOWED.values() for name in group.split()]
    assert len(names) == len(set(names))
    unknown = {name for name in names if _unknown(name)}
    newer_than_libseccomp_2_5_4 = set(
        """cachestat fchmodat2 futex_requeue futex_wait futex_wake getxattrat listmount listxattrat
        map_shadow_stack mseal removexattrat setxattrat statmount uretprobe""".split()
    )
    assert unknown <= newer_than_libseccomp_2_5_4


def _unknown(name: str) -> bool:
    return bool(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) == -1)
