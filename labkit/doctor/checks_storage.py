"""The storage of images and containers: layers, space, disks for experiments."""

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding, Situation, tried
from labkit.errors import LabkitError
from labkit.kernel import power
from labkit.snapshots import record
from labkit.snapshots.record import COPIES, LOOP, OVERLAYFS

GIB = 1024**3
ENOUGH_DISK_BYTES, LEAST_DISK_BYTES = 2 * GIB, GIB // 4
ENOUGH_MEMORY_BYTES = GIB


def check_mounts(situation: Situation) -> Iterator[Finding]:
    """A file system and a device file, as every container needs them."""
    yield tried(
        situation,
        "mounts",
        "mounts",
        "file systems can be mounted, and device files made",
        "a security module (AppArmor), a list of devices or a user namespace forbids it: start this"
        " container with --privileged",
        required=True,
    )


def check_overlay(situation: Situation) -> Iterator[Finding]:
    """An overlay with its writable layer on the data root's file system."""
    found = tried(
        situation,
        "overlay",
        "overlay",
        f"layers can be stacked in {situation.paths.root}",
        "labkit goes on with another storage driver; for this one keep the data on an ext4, xfs or"
        " btrfs file system, as a volume (--root, LABKIT_ROOT): an overlay cannot write to another"
        " overlay, as in a container, or to NFS",
    )
    yield found._replace(state=LIMITED) if found.state == MISSING else found


TRIAL_OF = {OVERLAYFS: "overlay", LOOP: "image"}
"""The trial for each storage driver; the last driver always works."""


def check_driver(situation: Situation) -> Iterator[Finding]:
    """The storage driver in use, or the one for a new data root, with its cost."""
    name = "storage driver"
    try:
        known = record.read(situation.paths.root)
    except PermissionError:
        known = None
    except LabkitError as error:
        yield Finding(name, MISSING, str(error), "make clean", required=True)
        return
    limited = power.IS_LIMITED or not situation.is_root
    if known and (why := record.other_kind(situation.paths.root, known, limited=limited)):
        yield Finding(name, MISSING, why, record.WAY_OUT_OF_OTHER_KIND, required=True)
        return
    if situation.untried:
        yield Finding(name, UNKNOWN, f"not tried: {situation.untried}")
        return
    driver = known.driver if known else _first_that_works(situation)
    failure = situation.trials.get(TRIAL_OF.get(driver, ""), "")
    if known and failure and not known.is_inside:
        remedy = (
            "start this machine or container as it was when the data root was made (--privileged),"
            " or remove the data root (make clean)"
        )
        detail = f"{situation.paths.root} was made with {driver}: {failure}"
        yield Finding(name, MISSING, detail, remedy, required=True)
        return
    detail = f"{driver}: {record.COSTS[driver]}"
    yield Finding(name, LIMITED if driver == COPIES else OK, detail, required=True)


def _first_that_works(situation: Situation) -> str:
    return next(
        driver
        for driver in record.DRIVERS
        if not situation.trials.get(TRIAL_OF.get(driver, ""), "")
    )


def check_mapped_ids(situation: Situation) -> Iterator[Finding]:
    """Id-mapped mounts of the data root, for containers with a user namespace."""
    yield tried(
        situation,
        "idmap",
        "id-mapped mounts",
        f"--userns=private and --userns-remap work in {situation.paths.root}",
        "keep the data on an ext4, xfs or btrfs file system, and use Linux 5.19 or newer"
        " (tmpfs: 6.3); until then containers have the host's users",
    )


def check_space(situation: Situation) -> Iterator[Finding]:
    """The disk space for the data root."""
    folder = situation.paths.root
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    state = OK if free >= ENOUGH_DISK_BYTES else LIMITED
    yield Finding(
        "disk space",
        state if free >= LEAST_DISK_BYTES else MISSING,
        f"{free / GIB:.1f} GiB free in {folder}",
        "" if state == OK else "the lab's images want about 2 GiB: make room, or use --root",
        required=True,
    )


def check_memory(_: Situation) -> Iterator[Finding]:
    """Memory and CPUs."""
    with open("/proc/meminfo") as file:
        figures = {key: int(text.split()[0]) * 1024 for key, _, text in _split(file.readlines())}
    total, available = figures["MemTotal"], figures["MemAvailable"]
    enough = available >= ENOUGH_MEMORY_BYTES
    yield Finding(
        "memory",
        OK if enough else LIMITED,
        f"{available / GIB:.1f} of {total / GIB:.1f} GiB available",
        "" if enough else "the notebooks and a virtual machine want about 1 GiB",
    )
    count = len(os.sched_getaffinity(0))
    yield Finding("CPUs", OK, f"{count} usable")


def _split(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    return (line.partition(":") for line in lines)


def check_loop(situation: Situation) -> Iterator[Finding]:
    """Loop devices: a file as a disk, for the experiments with disk limits."""
    yield tried(
        situation, "loop", "loop devices", "a file can be a disk (lab disk)", "modprobe loop"
    )


def check_bfq(_: Situation) -> Iterator[Finding]:
    """The BFQ scheduler: only with it do disk weights have an effect."""
    if _is_offered("bfq"):
        yield Finding("BFQ scheduler", OK, "disk weights (--blkio-weight)")
    elif _is_module("bfq"):
        yield Finding("BFQ scheduler", OK, "as a module that is loaded when it is used")
    else:
        yield Finding(
            "BFQ scheduler",
            MISSING,
            "no disk weights (--blkio-weight)",
            "use a kernel with CONFIG_IOSCHED_BFQ and CONFIG_BFQ_GROUP_IOSCHED, such as Debian's",
        )


def _is_offered(scheduler: str) -> bool:
    for path in glob.glob("/sys/block/*/queue/scheduler"):
        with open(path) as file:
            if scheduler in file.read().replace("[", " ").replace("]", " ").split():
                return True
    return False


def _is_module(name: str) -> bool:
    """Whether modprobe finds it; nothing is loaded (-n)."""
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not modprobe:
        return False
    return subprocess.run([modprobe, "-n", "-q", name], check=False).returncode == 0
