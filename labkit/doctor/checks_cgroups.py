"""The limits that this machine can enforce: the cgroup version, its controllers, swap."""

import os
from collections.abc import Iterator

from labkit.cgroups import Layout
from labkit.cgroups.given import command
from labkit.cgroups.layout import WHAT_IT_LIMITS
from labkit.doctor.finding import LIMITED, MISSING, OK, Finding, Situation

VERSIONS = {
    "v1": "v1: a tree of folders for each controller",
    "v2": "v2: one tree for all controllers",
    "hybrid": "v1 and v2 side by side (hybrid)",
    "none": "not mounted",
}

V1_NAMES = {"io": "blkio"}
"""The controllers that v1 names differently."""

CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "freezer")


def check_version(situation: Situation) -> Iterator[Finding]:
    """The cgroup version that is mounted at /sys/fs/cgroup."""
    version = situation.layout.version
    if version == "none":
        remedy = "mount -t cgroup2 cgroup2 /sys/fs/cgroup; until then there are no limits at all"
        yield Finding("cgroup", MISSING, VERSIONS[version], remedy)
    else:
        yield Finding("cgroup", OK, VERSIONS[version])


def check_controllers(situation: Situation) -> Iterator[Finding]:
    """Each controller: where it is, or what is impossible without it."""
    for controller in CONTROLLERS:
        yield _controller(situation.layout, controller)
    if situation.layout.user is None:
        yield _devices(situation.layout)


def _controller(layout: Layout, controller: str) -> Finding:
    names = (controller, V1_NAMES.get(controller, controller))
    found = next((name for name in names if name in layout.hierarchies), "")
    name, purpose = f"{found or controller} controller", WHAT_IT_LIMITS[controller]
    if found:
        hierarchy = layout.hierarchies[found]
        return Finding(name, OK, f"v{hierarchy.version}, {purpose}")
    if layout.user and layout.not_given and set(names) & set(layout.not_given):
        remedy = ways_to_groups(layout)
        return Finding(name, LIMITED, f"no {purpose}: not given to this user", remedy)
    if layout.version == "none":
        return Finding(name, MISSING, f"no {purpose}")
    return Finding(name, MISSING, f"no {purpose}", _remedy(layout, names[1]))


def ways_to_groups(layout: Layout) -> str:
    """How a user gets cgroups: with v2, systemd can delegate some to each user."""
    uid = layout.user.uid if layout.user else 0
    if layout.version == "v2" and os.path.isdir("/run/systemd/system"):
        return f"systemd-run --user --scope -p Delegate=yes labkit daemon, or {command(uid)}"
    return command(uid)


def _remedy(layout: Layout, v1_name: str) -> str:
    if layout.version == "v2":
        return f"if the kernel has it, start it with cgroup_enable={v1_name}"
    directory = f"/sys/fs/cgroup/{v1_name}"
    return f"mkdir -p {directory} && mount -t cgroup -o {v1_name} cgroup {directory}"


def _devices(layout: Layout) -> Finding:
    name = "devices controller"
    if "devices" not in layout.hierarchies:
        lost = "only its own /dev limits a container's devices"
        return Finding(name, MISSING, lost, "mount cgroup v2, or v1 with its devices controller")
    by = "v1" if layout.hierarchies["devices"].version == 1 else "v2, by an eBPF program"
    return Finding(name, OK, f"{by}, which device files may be opened")


def check_swap(situation: Situation) -> Iterator[Finding]:
    """Whether there is swap, and whether a container's use of it can be limited."""
    with open("/proc/swaps") as file:
        areas = [line.split() for line in file.readlines()[1:]]
    total_mib = sum(int(fields[2]) for fields in areas) // 1024
    if areas:
        detail = f"{total_mib} MiB on {', '.join(os.path.basename(area[0]) for area in areas)}"
        yield Finding("swap", OK, detail)
    else:
        yield Finding(
            "swap",
            LIMITED,
            "none: --memory-swap has nothing to limit",
            "fallocate -l 1G /swapfile && mkswap /swapfile && swapon /swapfile",
        )
    if "memory" in situation.layout.hierarchies:
        counted = situation.layout.machine.swap_accounting
        yield Finding(
            "swap limit",
            OK if counted else MISSING,
            "--memory-swap" if counted else "this kernel does not count swap by container",
            "" if counted else "start the kernel with swapaccount=1",
        )
