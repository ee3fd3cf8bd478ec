"""`--blkio-weight-device`, `--device-read-bps` and the like: limits on the host's disks.

The kernel knows a disk by its numbers.  They are looked up when the container is created, so that
a wrong name is reported at once, and again at each start, like the numbers of `--device`.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from labkit.cgroups import DiskLimit
from labkit.containers.records.model import DiskNode, HostConfig
from labkit.errors import InvalidParameterError

NO_WEIGHT = (
    "The disk {} does not use the BFQ scheduler, the only one with weights. Weight of "
    "the device discarded. (echo bfq > /sys/block/DISK/queue/scheduler)"
)
NO_DISK_WEIGHS = (
    "No disk of this machine uses the BFQ scheduler, the only one with weights: "
    "the Block I/O weight has no effect. (echo bfq > /sys/block/DISK/queue/scheduler)"
)


def gather(host: HostConfig) -> list[DiskNode]:
    """The disks that have limits, as the host has them now; InvalidParameterError."""
    return [_find(path) for path in dict.fromkeys(path for path, _, _ in _asked(host))]


def limits(host: HostConfig, disks: Sequence[DiskNode]) -> tuple[DiskLimit, ...]:
    """The limits on these disks, without weights that their scheduler would ignore."""
    found = {disk.path: disk for disk in disks}
    return tuple(
        DiskLimit(found[path].numbers, kind, value)
        for path, kind, value in _asked(host)
        if path in found and (kind != "weight" or found[path].weighs)
    )


def check(host: HostConfig, disks: Sequence[DiskNode]) -> list[str]:
    """InvalidParameterError for a bad value; a warning for each weight without effect."""
    for path, kind, value in _asked(host):
        if value < 0 or (kind == "weight" and value and not 10 <= value <= 1000):
            what = "weight" if kind == "weight" else "rate"
            raise InvalidParameterError(f"invalid {what} for device: {path}:{value}")
    weighed = {item.path for item in host.blkio_weight_device or () if item.weight}
    warnings = [NO_WEIGHT.format(d.path) for d in disks if d.path in weighed and not d.weighs]
    if host.blkio_weight and not any(map(_uses_bfq, _schedulers())):
        warnings.append(NO_DISK_WEIGHS)
    return warnings


def _asked(host: HostConfig) -> Iterator[tuple[str, str, int]]:
    """Path, kind (`labkit.cgroups.DiskLimit`) and value of each limit on a disk."""
    for weight in host.blkio_weight_device or ():
        yield weight.path, "weight", weight.weight
    rates = {
        "rbps": host.blkio_device_read_bps,
        "wbps": host.blkio_device_write_bps,
        "riops": host.blkio_device_read_iops,
        "wiops": host.blkio_device_write_iops,
    }
    for kind, items in rates.items():
        for item in items or ():
            yield item.path, kind, item.rate


def _find(path: str) -> DiskNode:
    try:
        status = os.stat(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise _not_limited(path, f"{why[:1].lower()}{why[1:]}") from None
    except ValueError:
        raise _not_limited(path, "no file has such a name") from None
    if not stat.S_ISBLK(status.st_mode):
        raise _not_limited(path, "not a block device")
    numbers = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    folder = f"/sys/dev/block/{numbers}"
    if os.path.exists(f"{folder}/partition"):
        disk = os.path.basename(os.path.dirname(os.path.realpath(folder)))
        raise _not_limited(path, f"it is a partition; limit the whole disk, /dev/{disk}")
    return DiskNode(path, numbers, _uses_bfq(f"{folder}/queue/scheduler"))


def _not_limited(path: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(f'cannot limit the disk "{path}": {why}')


def _schedulers() -> Iterator[str]:
    for name in os.listdir("/sys/block"):
        yield f"/sys/block/{name}/queue/scheduler"


def _uses_bfq(file: str) -> bool:
    """Whether BFQ is the scheduler in brackets, as in `none [bfq] kyber`."""
    try:
        with open(file, encoding="ascii") as scheduler:
            return "[bfq]" in scheduler.read()
    except OSError:
        return False
