"""Remove what an engine under test has left: processes, cgroups, mounts, the folder itself."""

import os
import signal
import subprocess
import time
from pathlib import Path

from labkit.kernel.trails import remove_tree
from tests import leaks


def sweep(folder: str, cgroup_parent: str, link_prefix: str) -> None:
    """End and remove all that has the folder's name, the parent group, or the prefix.

    The prefix is that of network links and rules.
    """
    for key, line in leaks.processes().items():
        if folder in line:
            _kill(int(key.split()[0]))
    groups = [path for path in leaks.cgroups() if f"/{cgroup_parent}" in path]
    for path in groups:
        for pid in Path(path, "cgroup.procs").read_text().split():
            _kill(int(pid))
    mounted = [key.split(" ", 1)[1] for key in leaks.mounts() if folder in key]
    for point in reversed(mounted):
        subprocess.run(["umount", "-l", point], check=False)
    for path in sorted(groups, key=len, reverse=True):
        _remove_group(path)
    for name in os.listdir("/sys/class/net") if link_prefix else ():
        if name.startswith(link_prefix):
            subprocess.run(["ip", "link", "delete", name], check=False, stderr=subprocess.DEVNULL)
    table = ["nft", "delete", "table", "inet", link_prefix]
    if link_prefix:
        subprocess.run(table, check=False, stderr=subprocess.DEVNULL)
    remove_tree(folder)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove_group(path: str) -> None:
    for _ in range(100):
        try:
            os.rmdir(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return
            time.sleep(0.02)
        else:
            return
