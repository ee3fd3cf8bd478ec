"""Namespaces: unshare(2), setns(2), sethostname(2); their flags and their names (namespaces(7))."""

import os

from labkit.kernel import libc

CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

FLAGS = {
    "mnt": CLONE_NEWNS,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
"""The flag that makes each namespace, by its name in /proc/<pid>/ns."""

FLAG_NAMES = {
    CLONE_NEWNS: "CLONE_NEWNS",
    CLONE_NEWUTS: "CLONE_NEWUTS",
    CLONE_NEWIPC: "CLONE_NEWIPC",
    CLONE_NEWPID: "CLONE_NEWPID",
    CLONE_NEWNET: "CLONE_NEWNET",
    CLONE_NEWUSER: "CLONE_NEWUSER",
    CLONE_NEWCGROUP: "CLONE_NEWCGROUP",
    CLONE_NEWTIME: "CLONE_NEWTIME",
}


def unshare(flags: int) -> None:
    """Move the calling process to new namespaces (man 2 unshare)."""
    libc.call("unshare", flags)


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace behind `fd`, an open /proc/<pid>/ns/* file (man 2 setns)."""
    libc.call("setns", fd, flags)


def set_hostname(name: str) -> None:
    """Set the host name of this process's UTS namespace (man 2 sethostname)."""
    encoded = os.fsencode(name)
    libc.call("sethostname", encoded, len(encoded))


def set_domainname(name: str) -> None:
    """Set the NIS domain name of this process's UTS namespace (man 2 setdomainname)."""
    encoded = os.fsencode(name)
    libc.call("setdomainname", encoded, len(encoded))
