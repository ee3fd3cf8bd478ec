"""The experiments of chapter 9 on the lab disk: its division by weights, and its rates.

The proportion of weights is exact for these reasons:
- Each container reads with several processes and without the page cache, so that a request always
  waits; a container without a request loses its turn.
- BFQ gives each reader a turn with a budget of sectors, and measures how large a budget may be.  A
  file in memory is so fast that its budgets are large, and a window has only a few dozen turns.
  So the experiment sets small budgets, which give many turns.
- Each container's group counts the bytes read, in one window, and the usual part is the median of
  the window's intervals: in some of them a reader may have had no CPU.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labkit import labdisk
from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.cgroups.groups import Place, place_of
from labkit.course.lifecycle.endings import await_words
from labkit.course.limits.disk_result import MIB, DiskRates, DiskSample, DiskWeights, Transfer
from labkit.course.limits.sampling import START_TIMEOUT_S
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError
from labkit.paths import Paths

DISK_BYTES = 256 * MIB
READERS = 8
FILE_MIB = 64
EVERY_S = 0.25
SETTLE_S = 1.0
LIFETIME_S = 3 * START_TIMEOUT_S
BLOCK_MIB, BLOCKS = 5, 4
"""Large blocks: between two blocks the disk waits for the program, which may not have the CPU."""
BUDGET = {"max_budget": "2048", "low_latency": "0"}
"""In sectors; new processes get no preference (Documentation/block/bfq-iosched.rst)."""
READS = (
    f"dd if=/dev/zero of=/disk/{{name}} bs={MIB} count={FILE_MIB} oflag=direct 2>/dev/null; "
    "echo ready; for one in {readers}; do "
    f"(while :; do dd if=/disk/{{name}} of=/dev/null bs={MIB} iflag=direct 2>/dev/null; done) & "
    "done; wait"
)
NOW = "echo now | ts %.s"
"""Prints `SECONDS now`, to the microsecond."""
WRITES = (
    f"{NOW}; dd if=/dev/zero of={{file}} bs={BLOCK_MIB * MIB} count={BLOCKS} {{flag}} && {NOW}; "
)


def disk_weights(
    weights: Sequence[int] = (600, 300), seconds: float = 5.0, *, client: Client | None = None
) -> DiskWeights:
    """Run one container for each `--blkio-weight`; each reads from the lab disk without a pause.

    The lab disk is made for the run if there is none.  Needs root.  Raises `LabkitError` if the
    kernel has no BFQ, the only scheduler with weights.
    """
    with lab_disk() as disk, Crew(client or connect(), "disk-weights", LIFETIME_S) as crew:
        if not disk.has_weights:
            raise LabkitError(
                f"{disk.device} uses {disk.scheduler}, which has no weights: this "
                "kernel has no BFQ (modprobe bfq)"
            )
        with _settings(disk.device, BUDGET):
            boxes = [_hire_reader(crew, disk, number, w) for number, w in enumerate(weights)]
            for box in boxes:
                await_words(box, b"ready")
            places = [_place(box) for box in boxes]
            _wait_until_all_read(places)
            time.sleep(SETTLE_S)
            return DiskWeights(tuple(weights), _measure(places, seconds))


def disk_rates(limit_mib: int = 5, *, client: Client | None = None) -> DiskRates:
    """Write a file on the lab disk four times, with and without the page cache and a limit.

    The limit is `--device-write-bps`.  Needs root.
    """
    with lab_disk() as disk, Crew(client or connect(), "disk-rates", LIFETIME_S) as crew:
        version = place_of(os.getpid(), "blkio").version
        transfers = tuple(
            transfer(crew, disk, is_direct=is_direct, limit_mib=limit)
            for is_direct in (True, False)
            for limit in (0, limit_mib)
        )
        return DiskRates(limit_mib, version, transfers)


@contextmanager
def lab_disk() -> Iterator[labdisk.LabDisk]:
    """The lab disk that exists, of any size, or else one that is made for the experiment."""
    with labdisk.borrow(Paths.from_environment(), DISK_BYTES) as disk:
        yield disk


@contextmanager
def _settings(device: str, wanted: dict[str, str]) -> Iterator[None]:
    """Change settings of the disk's scheduler during the block."""
    folder = f"/sys/block/{os.path.basename(device)}/queue/iosched"
    before = {}
    try:
        for name, value in wanted.items():
            with open(f"{folder}/{name}", "r+", encoding="ascii") as file:
                before[name] = file.read()
                file.write(value)
        yield
    finally:
        for name, value in before.items():
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.write(value)


def _hire_reader(crew: Crew, disk: labdisk.LabDisk, number: int, weight: int) -> Container:
    readers = " ".join(map(str, range(READERS)))
    script = READS.format(name=f"weights-{number}", readers=readers)
    return crew.hire_plain(
        f"weight-{weight}",
        ["sh", "-c", script],
        blkio_weight=weight,
        volumes=[f"{disk.mount}:/disk"],
    )


def _place(box: Container) -> Place:
    box.reload()
    return place_of(int(box.attrs["State"]["Pid"]), "blkio")


def _wait_until_all_read(places: Sequence[Place], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until every group has read from the disk: on a busy machine the readers start late."""
    deadline = time.monotonic() + timeout_s
    begun = [_read_bytes(place) for place in places]
    while any(_read_bytes(place) <= start for place, start in zip(places, begun, strict=True)):
        if time.monotonic() > deadline:
            raise LabkitError(
                f"not all containers read from the lab disk in {timeout_s:g} s: something on this "
                "machine takes its whole CPU or disk; try again"
            )
        time.sleep(EVERY_S / 10)


def _measure(places: Sequence[Place], seconds: float) -> tuple[DiskSample, ...]:
    begin, first = time.monotonic(), [_read_bytes(place) for place in places]
    samples = [DiskSample(0.0, (0,) * len(places))]
    # While other work blocks the disk, there is nothing to compare.
    while samples[-1].time_s < seconds or not all(samples[-1].read_bytes):
        if samples[-1].time_s > seconds + START_TIMEOUT_S:
            raise LabkitError(
                "nothing was read from the lab disk: the machine's disk is busy; try again"
            )
        time.sleep(EVERY_S)
        now = [_read_bytes(place) for place in places]
        read = tuple(after - before for after, before in zip(now, first, strict=True))
        samples.append(DiskSample(time.monotonic() - begin, read))
    return tuple(samples)


def _read_bytes(place: Place) -> int:
    """The bytes that the group has read from disks so far."""
    if place.version == 2:
        return sum(int(number) for number in re.findall(r"rbytes=(\d+)", place.read("io.stat")))
    text = place.read("blkio.throttle.io_service_bytes_recursive")
    return sum(int(line.split()[2]) for line in text.splitlines() if " Read " in line)


def transfer(crew: Crew, disk: labdisk.LabDisk, *, is_direct: bool, limit_mib: int) -> Transfer:
    """Write a file on the lab disk in a container, and wait until all of it is there."""
    flag = "oflag=direct" if is_direct else ""
    limit = [{"Path": disk.device, "Rate": limit_mib * MIB}] if limit_mib else None
    file = f"/disk/rates-{is_direct:d}-{limit_mib}"
    box = crew.hire_plain(
        "rates",
        ["sh", "-c", WRITES.format(file=file, flag=flag) + "echo done; exec sleep 60"],
        device_write_bps=limit,
        volumes=[f"{disk.mount}:/disk"],
    )
    await_words(box, b"done")
    begin = time.monotonic()
    # The container must stay until its pages are written; without it they would have no owner.
    subprocess.run(["sync", "--file-system", disk.mount], check=True)
    wrote_s = time.monotonic() - begin
    moments = [float(line.split()[0]) for line in box.logs().splitlines() if line.endswith(b" now")]
    if len(moments) != 2:
        raise LabkitError(f"dd could not write on the lab disk: {box.logs()!r}")
    box.remove(force=True)
    took_s = moments[1] - moments[0]
    size_bytes = BLOCKS * BLOCK_MIB * MIB
    return Transfer(is_direct, bool(limit_mib), size_bytes, took_s, took_s + wrote_s)
