"""Trying things out: `python -m labkit.doctor.trials DATA_ROOT` prints what works here, as JSON.

Whether a kernel *can* do something depends on its configuration, modules, sysctls, security
modules and on who asks, so the only honest answer is to do it.  Each trial runs in a process of
its own that is gone a moment later, and with it the namespaces, mounts and filters it made.  This
is a program apart because the one that asks may have threads, and forking those is not safe.
"""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from struct import pack

from labkit.doctor.checks_programs import NOT_TRIED, find
from labkit.errors import NotFoundError
from labkit.kernel import mounts, namespaces, processes, seccomp, trees, user_namespaces
from labkit.microvm import kvm

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
    """Run every trial and print the results."""
    json.dump({name: _result_of(trial, sys.argv[1]) for name, trial in TRIALS.items()}, sys.stdout)


def _result_of(trial: Callable[[str], None], data_root: str) -> str:
    """ "" if the trial works in a child process, else what went wrong."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.write(writer, _attempt(trial, data_root).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        result = file.read()
    os.waitpid(pid, 0)
    return result


def _attempt(trial: Callable[[str], None], data_root: str) -> str:
    try:
        trial(data_root)
    except OSError as error:
        # The wrappers of `kernel` say which call it was: "mount: No such device".
        name = errno.errorcode.get(error.errno or 0, "")
        return f"{error.strerror or error} ({name})" if name else str(error)
    return ""


def _namespace(flag: int) -> Callable[[str], None]:
    return lambda _: namespaces.unshare(flag)


def _overlay(data_root: str) -> None:
    """Two layers on the file system of the data root, mounted and written through."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    while not os.path.isdir(data_root):
        data_root = os.path.dirname(data_root)
    with tempfile.TemporaryDirectory(prefix=".labkit-doctor-", dir=data_root) as scratch:
        lower, upper, work, merged = (
            f"{scratch}/{n}" for n in ("lower", "upper", "work", "merged")
        )
        for folder in (lower, upper, work, merged):
            os.mkdir(folder)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mounts.mount("overlay", merged, "overlay", data=options)
        try:
            os.mkdir(f"{merged}/written")
            os.stat(f"{upper}/written")
        finally:
            mounts.unmount(merged)


def _mapped_ids(data_root: str) -> None:
    """The data root's files, shown with other owners."""
    while not os.path.isdir(data_root):
        data_root = os.path.dirname(data_root)
    ids = [(0, 100_000, 65_536)]
    users = user_namespaces.make(ids, ids)[namespaces.CLONE_NEWUSER]
    folder = os.open(data_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    trees.map_ids(trees.clone_tree(folder), users)


def _seccomp(_: str) -> None:
    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(_ALLOW_EVERYTHING)


def _nat(_: str) -> None:
    """Address translation in a network namespace of its own, by the nft command."""
    nft = find("nft")
    if not nft:
        raise FileNotFoundError("the command nft is not installed")
    namespaces.unshare(namespaces.CLONE_NEWNET)
    run = subprocess.run(
        [nft, "-f", "-"], input=NFT_RULES, capture_output=True, text=True, check=False, timeout=3
    )
    if run.returncode:
        raise OSError(run.stderr.partition("\n")[0])


def _kvm(_: str) -> None:
    """A guest for two seconds: chapter 1 goes by the same verdict."""
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
    "overlay": _overlay,
    "idmap": _mapped_ids,
    "seccomp": _seccomp,
    "nat": _nat,
    "kvm": _kvm,
    "loop": _loop_control,
}


if __name__ == "__main__":
    main()
