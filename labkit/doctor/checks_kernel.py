"""The kernel's parts of a container: release, root's rights, namespaces, system call filter."""

import ctypes.util
import os
import re
from collections.abc import Iterator

from labkit.doctor import checks_user
from labkit.doctor.finding import LIMITED, MISSING, OK, Finding, Situation, install, tried
from labkit.kernel import capabilities

LIBSECCOMP = "libseccomp"
OLDEST_KERNEL = (5, 11)
"""close_range(2) with CLOSE_RANGE_CLOEXEC; clone3(2), pidfds and the rest are older."""

NAMESPACES = {
    "mnt": ("mount", "its own / and mounts"),
    "uts": ("UTS", "its own host name"),
    "ipc": ("IPC", "its own shared memory and semaphores"),
    "pid": ("PID", "its own process numbers"),
    "net": ("network", "its own interfaces"),
    "cgroup": ("cgroup", "its own view of /sys/fs/cgroup"),
    "user": ("user", "its own users and groups"),
    "time": ("time", "its own clocks"),
}
"""By their names in /proc/self/ns: the usual name, and what a container gets."""
NOT_REQUIRED = {"user", "time"}

LOST_WITHOUT = {
    "SYS_ADMIN": "no namespaces and no mounts",
    "SYS_CHROOT": "no root folder for a container",
    "NET_ADMIN": "no networks",
    "MKNOD": "no device files",
    "SETUID": "only root inside",
    "SETGID": "only root's groups inside",
    "SETPCAP": "no giving up of rights",
    "CHOWN": "images unpack wrongly",
    "DAC_OVERRIDE": "images unpack wrongly",
    "FOWNER": "images unpack wrongly",
    "KILL": "no stopping of containers",
    "SYS_RESOURCE": "limits of processes (ulimit) cannot be raised",
    "SYS_PTRACE": "no entering of containers",
    "SYS_MODULE": "kernel modules must be loaded by hand",
}
"""The capabilities that labkit uses, and the consequence if one is missing."""
INDISPENSABLE = {"SYS_ADMIN", "SYS_CHROOT", "MKNOD", "SETUID", "SETGID", "SETPCAP", "CHOWN"}


def check_kernel(_: Situation) -> Iterator[Finding]:
    """The release, compared with the oldest that has every system call of labkit's."""
    system = os.uname()
    release = f"Linux {system.release} on {system.machine}"
    if _version(system.release) >= OLDEST_KERNEL:
        yield Finding("kernel", OK, release, required=True)
    else:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        yield Finding(
            "kernel", MISSING, f"{release}, too old", f"use Linux {oldest} or newer", required=True
        )


def _version(release: str) -> tuple[int, int]:
    """Major and minor number of a release such as `6.1.0-18-amd64`."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def check_privileges(situation: Situation) -> Iterator[Finding]:
    """Whether this process is root, and which of root's capabilities it has."""
    if not situation.is_root:
        detail = f"user {os.geteuid()}: labkitd makes a user namespace, and is root in it"
        yield Finding("root", OK, detail)
        return
    yield Finding("root", OK, "yes")
    present = effective_capabilities()
    lacking = [name for name in LOST_WITHOUT if name not in present]
    if not lacking:
        yield Finding("capabilities", OK, "all that labkit uses", required=True)
        return
    fatal = INDISPENSABLE.intersection(lacking)
    yield Finding(
        "capabilities",
        MISSING if fatal else LIMITED,
        "; ".join(f"without CAP_{name}: {LOST_WITHOUT[name]}" for name in lacking),
        "this machine or container was started without them; labkit "
        + ("needs them" if fatal else "works without them"),
        required=True,
    )


def effective_capabilities() -> set[str]:
    """This process's effective capabilities, without CAP_ (proc_pid_status(5))."""
    with open("/proc/self/status") as status:
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    return {name for bit, name in enumerate(capabilities.NAMES) if mask >> bit & 1}


def check_namespaces(situation: Situation) -> Iterator[Finding]:
    """Each kind of namespace, made by a short-lived child process."""
    forbidden = "this kernel allows it, but not here: a chroot, a sandbox or a sysctl forbids it"
    if not situation.is_root:
        _, forbidden = checks_user.obstacle()
    for kind, (name, gives) in NAMESPACES.items():
        in_kernel = os.path.exists(f"/proc/self/ns/{kind}")
        remedy = (
            forbidden
            if in_kernel
            else f"use a kernel with CONFIG_{'NET' if kind == 'net' else kind.upper()}_NS"
        )
        yield tried(
            situation,
            f"namespace.{kind}",
            f"{name} namespace",
            gives,
            remedy,
            required=kind not in NOT_REQUIRED,
        )


def check_seccomp(situation: Situation) -> Iterator[Finding]:
    """The filter of system calls, and the library that compiles it."""
    yield tried(
        situation,
        "seccomp",
        "seccomp",
        "system calls can be filtered",
        "use a kernel with CONFIG_SECCOMP_FILTER",
        required=True,
    )
    library = ctypes.util.find_library("seccomp")
    yield Finding(
        LIBSECCOMP,
        OK if library else MISSING,
        library or "not installed",
        "" if library else install("libseccomp2"),
        required=True,
    )
