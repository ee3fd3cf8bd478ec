"""Docker's default system call filter, as data, and its compilation to a BPF program.

A container shares the host's kernel, so every system call is a way into the host.  The filter
closes those that a normal program never uses: a call that is not named here fails with EPERM.  The
list is that of Docker 29 (moby/profiles, seccomp/default.json), grouped by subject.

Only the daemon imports this module.  It makes a program of plain bytes, which
`labkit.kernel.seccomp.load` loads into the kernel (seccomp(2)).
"""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyseccomp

ALLOWED = {
    "opening files": """
        open openat openat2 creat close close_range access faccessat faccessat2 umask
        name_to_handle_at memfd_create memfd_secret""",
    "reading and writing": """
        read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek
        sendfile sendfile64 copy_file_range splice tee vmsplice readahead fadvise64 fadvise64_64
        fallocate truncate truncate64 ftruncate ftruncate64 sync syncfs fsync fdatasync
        sync_file_range cachestat""",
    "names and folders": """
        mkdir mkdirat mknod mknodat rmdir link linkat symlink symlinkat unlink unlinkat rename
        renameat renameat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir""",
    "attributes of files": """
        stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs
        fstatfs64 statmount listmount chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32
        fchownat lchown lchown32 utime utimes utimensat utimensat_time64 futimesat
        getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
        listxattr llistxattr flistxattr listxattrat
        removexattr lremovexattr fremovexattr removexattrat""",
    "descriptors": """
        dup dup2 dup3 pipe pipe2 fcntl fcntl64 ioctl flock eventfd eventfd2 signalfd signalfd4
        timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime timerfd_gettime64""",
    "waiting for descriptors": """
        select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create
        epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
        inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark""",
    "asynchronous input and output (not io_uring: too many ways out of the kernel's checks)": """
        io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64""",
    "memory": """
        brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock
        munlockall mseal remap_file_pages membarrier map_shadow_stack pkey_alloc pkey_free
        pkey_mprotect""",
    "processes and threads": """
        fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid gettid getppid
        getpgid getpgrp setpgid getsid setsid set_tid_address set_thread_area get_thread_area
        set_robust_list get_robust_list rseq restart_syscall prctl pidfd_open pidfd_send_signal
        process_mrelease uretprobe times getrusage""",
    "tracing processes (safe under a filter since Linux 4.8)": """
        ptrace process_vm_readv process_vm_writev""",
    "users, groups and capabilities": """
        getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32
        getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid
        setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setgroups
        setgroups32 setfsuid setfsuid32 setfsgid setfsgid32 capget capset""",
    "restricting oneself": """
        seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self""",
    "limits and priorities": """
        getrlimit ugetrlimit setrlimit prlimit64 getpriority setpriority ioprio_get ioprio_set
        sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam
        sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_min
        sched_get_priority_max sched_rr_get_interval sched_rr_get_interval_time64 getcpu""",
    "signals": """
        kill tkill tgkill pause sigaltstack sigprocmask sigreturn rt_sigaction rt_sigpending
        rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 rt_tgsigqueueinfo""",
    "time": """
        time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 nanosleep
        clock_nanosleep clock_nanosleep_time64 alarm getitimer setitimer timer_create timer_delete
        timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64""",
    "adjusting the clock (the kernel asks for CAP_SYS_TIME as soon as something is changed)": """
        adjtimex clock_adjtime clock_adjtime64""",
    "locks between threads": """
        futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue""",
    "sockets": """
        socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt
        setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
        socketcall""",
    "System V and POSIX queues": """
        ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat
        shmctl shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive
        mq_timedreceive_time64 mq_timedsend mq_timedsend_time64""",
    "the system": """
        uname sysinfo getrandom""",
}
"""The calls that every container may make, with any arguments."""

ALLOWED_ON = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": """
        arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls""",
}
"""The calls that exist on one kind of machine only, by `os.uname().machine`."""

ALLOWED_WITH = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
        umount umount2 unshare""",
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}
"""The calls that a container with the capability may make: without it the kernel refuses anyway,
so the filter only keeps unprivileged programs away from that code."""

EQUAL, LESS, GREATER = "==", "<", ">"

ALLOWED_IF = (
    # All families but the kernel's cryptography (AF_ALG, 38) and the hypervisor (AF_VSOCK, 40).
    ("socket", LESS, 38),
    ("socket", EQUAL, 39),
    ("socket", GREATER, 40),
    # Linux, 32-bit Linux, each also without the new names of uname(2); and asking which it is.
    ("personality", EQUAL, 0x0),
    ("personality", EQUAL, 0x8),
    ("personality", EQUAL, 0x20000),
    ("personality", EQUAL, 0x20008),
    ("personality", EQUAL, 0xFFFFFFFF),
)
"""A system call, and the condition on its first argument."""

NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: without CAP_SYS_ADMIN, clone(2)
may have none of them.  clone3(2) has its flags in memory, where a filter cannot read them, so it
fails with ENOSYS, and the C library uses clone instead."""

_SUB_ARCHITECTURES = {"x86_64": ("X86", "X32"), "aarch64": ("ARM",)}
"""The other kinds of program that the kernel of such a machine can run."""

_RESERVED_NUMBERS = {
    "x86_64": ((0xC000003E, 0x40000000), (0x40000003, 0xFFFFFFFF)),  # the x32 calls; none
    "aarch64": ((0xC00000B7, 0xFFFFFFFF), (0x40000028, 0x000F0000)),  # none; the private ARM calls
}
"""AUDIT_ARCH_* of each kind of program (linux/audit.h), and the first of its special calls."""

UNKNOWN_CALL = -1  # __NR_SCMP_ERROR
"""libseccomp's number for a call that it does not know."""


def allowed_names(capabilities: Collection[str]) -> frozenset[str]:
    """Return the calls that a container with these capabilities may make without a condition."""
    return frozenset(_allowed(frozenset(bare(name) for name in capabilities)))


def compile_filter(capabilities: Collection[str]) -> bytes:
    """Return the filter for a container with these capabilities: `struct sock_filter`s.

    Names that the installed libseccomp does not know are left out.  Calls of the kernel that are
    newer than all of them fail with ENOSYS, so that programs use older ones instead of failing with
    an EPERM.  Takes some 20 ms the first time; then the result is cached.
    Raises OSError if libseccomp refuses, RuntimeError if it is not installed.
    """
    return _compile(frozenset(bare(name) for name in capabilities))


def bare(capability: str) -> str:
    """A capability's name without `CAP_`."""
    return capability.upper().removeprefix("CAP_")


def _allowed(capabilities: frozenset[str]) -> Iterator[str]:
    for names in ALLOWED.values():
        yield from names.split()
    yield from ALLOWED_ON.get(os.uname().machine, "").split()
    for capability, names in ALLOWED_WITH.items():
        if capability in capabilities:
            yield from names.split()


@cache
def _compile(capabilities: frozenset[str]) -> bytes:
    import pyseccomp  # noqa: PLC0415 - it looks for its library with ldconfig, which takes time

    machine = os.uname().machine
    program = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for architecture in _SUB_ARCHITECTURES.get(machine, ()):
        program.add_arch(getattr(pyseccomp.Arch, architecture))
    for name in sorted(allowed_names(capabilities)):
        _add(program, pyseccomp.ALLOW, name)
    operators = {EQUAL: pyseccomp.EQ, LESS: pyseccomp.LT, GREATER: pyseccomp.GT}
    for name, operator, value in ALLOWED_IF:
        _add(program, pyseccomp.ALLOW, name, pyseccomp.Arg(0, operators[operator], value))
    if "SYS_ADMIN" not in capabilities:
        no_namespaces = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, NAMESPACE_FLAGS, 0)
        _add(program, pyseccomp.ALLOW, "clone", no_namespaces)
        _add(program, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    return _newer_calls_are_missing(machine) + export(program)


def _add(program: "pyseccomp.SyscallFilter", action: int, name: str, *tests: object) -> None:
    """Add a rule on every architecture of the program, if libseccomp knows the call."""
    import pyseccomp  # noqa: PLC0415

    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if number != UNKNOWN_CALL:
        program.add_rule(action, number, *tests)


def export(program: "pyseccomp.SyscallFilter") -> bytes:
    """Return the program as bytes, its tests arranged as a tree if libseccomp can (since 2.5).

    When a filter is loaded, the kernel runs it once for each call to find those that are always
    allowed; a tree makes that, and every start of a container, a few hundred µs shorter.
    """
    import pyseccomp  # noqa: PLC0415

    with suppress(OSError):
        program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    with open(os.memfd_create("seccomp"), "w+b") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


_LOAD, _RETURN = 0x20, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_RET|BPF_K (linux/bpf_common.h)
_JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_AT_LEAST = 0x15, 0x25, 0x35
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data (linux/seccomp.h)
_RETURN_ERRNO = 0x00050000


def _newer_calls_are_missing(machine: str) -> bytes:
    """Return instructions to put before a filter: a call newer than all names fails with ENOSYS.

    "Newer" is a number above the highest of the names here and below an architecture's own special
    numbers.  Every program meets this: a C library tries a new call first, and uses the old one
    after ENOSYS, but takes EPERM for the result.
    """
    code = [_instruction(_LOAD, _ARCHITECTURE)]
    for architecture, reserved_from in _RESERVED_NUMBERS.get(machine, ()):
        last = _highest_number(architecture)
        code += [
            _instruction(_JUMP_IF_EQUAL, architecture, 0, 5),
            _instruction(_LOAD, _NUMBER),
            _instruction(_JUMP_IF_AT_LEAST, reserved_from, 2, 0),
            _instruction(_JUMP_IF_GREATER, last, 0, 1),
            _instruction(_RETURN, _RETURN_ERRNO | errno.ENOSYS),
            _instruction(_LOAD, _ARCHITECTURE),
        ]
    return b"".join(code)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter` (linux/filter.h): the jumps count instructions to skip."""
    return pack("=HBBI", code, if_true, if_false, value)


def _highest_number(architecture: int) -> int:
    import pyseccomp  # noqa: PLC0415

    names = _allowed(frozenset(ALLOWED_WITH))
    return max(int(pyseccomp.resolve_syscall(architecture, name)) for name in names)
