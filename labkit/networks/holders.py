"""The process that uses a port of the host: the one that bound it (proc_net(5), proc_pid_fd(5))."""

import os

_LISTEN = "0A"
_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}


def holder(protocol: str, port: int) -> str:
    """The process, such as `nginx (pid 123)`; empty if it cannot be found."""
    inodes = {inode for table in _TABLES[protocol] for inode in _inodes(table, port)}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        if _has_open(pid, wanted):
            return f"{_name(pid)} (pid {pid})"
    return ""


def _inodes(table: str, port: int) -> list[str]:
    """The sockets that are bound to a port; for TCP only those that listen."""
    found = []
    try:
        with open(f"/proc/net/{table}", encoding="ascii") as file:
            lines = file.readlines()[1:]
    except OSError:
        return []
    for line in lines:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) != port:
            continue
        if table.startswith("udp") or fields[3] == _LISTEN:
            found.append(fields[9])
    return found


def _has_open(pid: str, wanted: set[str]) -> bool:
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{fd}") in wanted:
                return True
    except OSError:
        return False  # it ended, or closed a descriptor, during the search
    return False


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
