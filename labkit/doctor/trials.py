"""Trying things out: `python -m labkit.doctor.trials DATA_ROOT [TRIAL...]` prints what works.

Whether a kernel *can* do something depends on its configuration, modules, sysctls, security
modules and on the caller, so the only honest answer is to try it.  Each trial runs in a child
process that ends a moment later, and its namespaces, mounts and filters end with it.  This is a
separate program because its caller may have threads, and a process with threads must not fork.
"""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from struct import pack

from labkit.doctor.checks_networks import UNTRIED
from labkit.doctor.checks_programs import NOT_TRIED, find
from labkit.errors import NotFoundError
from labkit.kernel import mounts, namespaces, power, processes, seccomp, trees, user_namespaces
from labkit.snapshots.trials import in_child, loop, nearest, overlay

NFT_RULES = """
table ip labkit-doctor {
    chain postrouting {
        type nat hook postrouting priority 100;
        ip saddr 10.0.0.0/8 masquerade
    }
    chain prerouting {
        type nat hook prerouting priority -100;
        tcp dport 8080 dnat to 10.0.0.2:80
    }
}
"""

_ALLOW_EVERYTHING = pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET, SECCOMP_RET_ALLOW


def main() -> None:
    """Run the named trials, or all of them, and print the results."""
    data_root, *names = sys.argv[1:]
    results = {name: in_child(TRIALS[name], data_root) for name in names or TRIALS}
    json.dump(results, sys.stdout)


def _namespace(flag: int) -> Callable[[str], None]:
    return lambda _: namespaces.unshare(flag)


def _host_name(_: str) -> None:
    """Set a host name in a new namespace: podman's filter allows the namespace, not the name."""
    namespaces.unshare(namespaces.CLONE_NEWUTS)
    socket.sethostname(socket.gethostname())


def _mapped_ids(data_root: str) -> None:
    """Show the data root's files with other owners."""
    data_root = nearest(data_root)
    ids = [(0, 100_000, 65_536)]
    users = user_namespaces.make(ids, ids)[namespaces.CLONE_NEWUSER]
    folder = os.open(data_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    trees.map_ids(trees.clone_tree(folder), users)


def _mounts(data_root: str) -> None:
    """Mount a file system in memory, and make a device file in it that can be opened."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    place = nearest(data_root)
    mounts.mount("tmpfs", place, "tmpfs", 0, "size=64k")
    null = f"{place}/null"
    if power.IS_LIMITED:  # without root, device files are bound, not made
        os.close(os.open(null, os.O_CREAT | os.O_CLOEXEC))
        mounts.mount("/dev/null", null, "", mounts.MS_BIND)
    else:
        os.mknod(null, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
    os.close(os.open(null, os.O_RDWR | os.O_CLOEXEC))


def _proc(_: str) -> None:
    """Mount a new /proc, in a new PID namespace."""
    namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    failure = in_child(lambda place: mounts.mount("proc", place, "proc"), "/proc")
    if failure:
        raise OSError(failure)


def _seccomp(_: str) -> None:
    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(_ALLOW_EVERYTHING)


def _nat(_: str) -> None:
    """Set up address translation in a new network namespace, by the nft command."""
    nft = find("nft")
    if not nft:
        raise FileNotFoundError("the command nft is not installed")
    namespaces.unshare(namespaces.CLONE_NEWNET)
    run = subprocess.run(
        [nft, "-f", "-"], input=NFT_RULES, capture_output=True, text=True, check=False, timeout=3
    )
    if run.returncode:
        raise OSError(run.stderr.partition("\n")[0])


def _outward(data_root: str) -> None:
    """Send a packet from a bridge of labkit's to the outside."""
    from labkit.doctor import outward  # noqa: PLC0415 it needs installed packages

    try:
        outward.attempt(data_root)
    except outward.Untriable as why:
        raise OSError(f"{UNTRIED}{why}") from None


def _kvm(_: str) -> None:
    """Run a guest for two seconds, as chapter 1 does before it uses KVM."""
    # The other trials run before an installation too, so they need only the standard library.
    from labkit.microvm import kvm  # noqa: PLC0415

    try:
        trouble = kvm.trouble()
    except NotFoundError as error:
        trouble = f"{NOT_TRIED}{error}"
    if trouble:
        raise OSError(trouble)


def _loop_control(_: str) -> None:
    os.close(os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))


TRIALS: dict[str, Callable[[str], None]] = {
    **{f"namespace.{name}": _namespace(flag) for name, flag in namespaces.FLAGS.items()},
    "namespace.uts": _host_name,
    "mounts": _mounts,
    "overlay": overlay,
    "image": loop,
    "idmap": _mapped_ids,
    "proc": _proc,
    "seccomp": _seccomp,
    "nat": _nat,
    "outward": _outward,
    "kvm": _kvm,
    "loop": _loop_control,
}


if __name__ == "__main__":
    main()
