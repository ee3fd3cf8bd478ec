"""The connection of the network of an engine without root with the machine's.

An ordinary cable into the machine's network needs power over it.  pasta(1) and slirp4netns(1) do
not: they turn the packets at their end of a tap device into system calls of an ordinary program.
Neither lets a container reach a program that listens on the machine's 127.0.0.1.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from labkit.kernel import mounts, namespaces, processes

TUN = "/dev/net/tun"
CONNECT_TIMEOUT_S = 10.0
_LOOK_S = 0.02
_INTERFACE = "outside"
_NAME_SERVER = "169.254.1.1"
"""The address at which pasta answers DNS queries; it asks the machine's servers."""
_SLIRP_NAME_SERVER = "10.0.2.3"


def _pasta(network: str) -> list[str]:
    none = [word for way in ("-t", "-u", "-T", "-U") for word in (way, "none")]
    names = ["--dns-forward", _NAME_SERVER, "--ns-ifname", _INTERFACE]
    return ["--foreground", "--config-net", "--no-map-gw", *none, *names, "--netns", network]


def _slirp(network: str) -> list[str]:
    options = ["--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"]
    return [*options, network, _INTERFACE]


_PROGRAMS: tuple[tuple[str, str, Callable[[str], list[str]]], ...] = (
    ("pasta", _NAME_SERVER, _pasta),
    ("slirp4netns", _SLIRP_NAME_SERVER, _slirp),
)
"""In order of preference: name, name server, arguments for a network namespace."""


_RULES = f"""
add table inet labkit-cable
delete table inet labkit-cable
table inet labkit-cable {{
    chain arrive {{
        type filter hook input priority filter
        iifname "{_INTERFACE}" ct state invalid drop
    }}
}}
"""
"""pasta of 2023 acknowledges data by segments without any flag.  The kernel finds no connection
for these, so it would not forward them to the container but answer with a reset."""


def connect(network: int, run: str) -> None:
    """Connect a network namespace with the outside, if this machine lets a user do so.

    The program ends with the calling process.  Its output goes to `cable.log` of the run folder.
    """
    if problem():
        return
    name, name_server, arguments = next(each for each in _PROGRAMS if shutil.which(each[0]))
    with open(f"{run}/cable.log", "wb") as log:
        subprocess.Popen(
            [name, *arguments("/proc/self/fd/0")],
            stdin=network,  # pasta of 2025 first closes every descriptor but the first three
            stdout=log,
            stderr=log,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 this process has one thread
        )
    if _appears(network):
        _ask_for_names(name_server, run)


def _end_with_parent() -> None:
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)


def problem() -> str:
    """The reason why there can be no cable, and the remedy; "" if there can be one."""
    if not os.path.exists(TUN):
        return f"there is no {TUN}: an administrator can load it: modprobe tun"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} is not open to users: an administrator can open it: chmod 666 {TUN}"
    if not any(shutil.which(name) for name, *_ in _PROGRAMS):
        return "there is neither pasta nor slirp4netns: apt install passt"
    return ""


def warning(run: str) -> str:
    """The warning for an engine whose network has no way outside; "" if it has one."""
    if has_way_out():
        return ""
    why = problem() or f"see {run}/cable.log"
    return f"containers reach each other, but nothing outside ({why})"


def has_way_out() -> bool:
    """Whether the cable has a route in the network namespace of this process."""
    with open("/proc/self/net/route") as file:
        routes = [line.split() for line in file.readlines()[1:]]
    return any(fields[0] == _INTERFACE for fields in routes)


def _appears(network: int) -> bool:
    """Wait for the interface, in a child process: a process cannot leave the namespace again."""
    pid = os.fork()
    if pid == 0:
        found = False
        try:
            namespaces.setns(network, namespaces.CLONE_NEWNET)
            deadline = time.monotonic() + CONNECT_TIMEOUT_S
            while not (found := has_way_out()) and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
            subprocess.run(["nft", "-f", "-"], input=_RULES.encode(), check=True)
        finally:
            os._exit(not found)
    return os.waitpid(pid, 0)[1] == 0


def ask_the_machine_for_names() -> None:
    """Let this process, in the machine's network, use the machine's own name servers again."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    with suppress(OSError):  # without a cable, nothing covers the file
        mounts.unmount(os.path.realpath("/etc/resolv.conf"), mounts.MNT_DETACH)


def _ask_for_names(name_server: str, run: str) -> None:
    """Let every process in this mount namespace ask the cable's name server."""
    path, place = f"{run}/resolv.conf", os.path.realpath("/etc/resolv.conf")
    if os.path.exists(path) and os.path.samefile(path, place):
        return  # from an earlier holder, which was killed
    with open("/etc/resolv.conf") as usual, open(path, "w") as file:
        file.write(f"nameserver {name_server}\n")
        file.writelines(line for line in usual if not line.startswith("nameserver"))
    mounts.mount(path, place, "", mounts.MS_BIND)
