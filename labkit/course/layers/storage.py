"""One image, three storage drivers: the cost of a container with each.

Each driver gets its own labkitd and data root during the experiment.
"""

import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit import cgroups
from labkit.client import Client
from labkit.client.containers import Container
from labkit.client.daemon import daemon_command
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.course.page.scratch import prefix
from labkit.errors import LabkitError
from labkit.paths import Paths
from labkit.snapshots.record import DRIVERS

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

LIBRARY_MIB = 24
IMAGE = "library"
STARTS = 5
WRITES = 3
START_TIMEOUT_S = 30.0
SETTLE_S, SETTLE_TIMEOUT_S = 0.3, 10.0
_MAKE = f"head -c {LIBRARY_MIB}m /dev/urandom > /library"


class Cost(NamedTuple):
    """The cost of a container with one driver."""

    driver: str
    start_ms: float
    """From create to the end of a program that does nothing: the median of several runs."""
    disk_mb: float
    """The disk space of one more container, before it has written anything."""
    first_write_ms: float
    """The time to append one byte to a large file of the image: the median of several runs."""


class Storage:
    """The costs, driver by driver."""

    def __init__(self, costs: tuple[Cost, ...]) -> None:
        self.costs = costs

    def __getitem__(self, driver: str) -> Cost:
        return next(cost for cost in self.costs if cost.driver == driver)

    def __repr__(self) -> str:
        return str(self.table())

    def table(self) -> Table:
        """A row for each driver."""
        return Table(
            ("storage driver", "start", "disk for one container", "first write"),
            tuple(
                (
                    c.driver,
                    f"{c.start_ms:.0f} ms",
                    f"{c.disk_mb:.1f} MB",
                    f"{c.first_write_ms:.1f} ms",
                )
                for c in self.costs
            ),
        )

    def plot(self) -> "Figure":
        """Draw three panels, each with a bar for each driver."""
        return plot_storage(self)


def compare_drivers() -> Storage:
    """Measure every driver with an image of busybox and one large file; LabkitError."""
    with connect() as lab:
        box = lab.containers.create("busybox")
        try:
            files = b"".join(box.export())
        finally:
            box.remove()
    return Storage(tuple(_measure(driver, files) for driver in DRIVERS))


def _measure(driver: str, files: bytes) -> Cost:
    with _engine(driver) as (client, root):
        client.images.import_image(io.BytesIO(files), repository="busybox")
        box = client.containers.run(
            "busybox", ["sh", "-c", _MAKE], detach=True, network_mode="none"
        )
        box.wait()
        box.commit(IMAGE)
        box.remove()
        _start_ms(client)  # the first start unpacks the layers
        start_ms = median(_start_ms(client) for _ in range(STARTS))
        before = _settled_bytes(root)
        boxes = [_sleeper(client) for _ in range(WRITES)]
        disk_mb = max(0, _settled_bytes(root) - before) / len(boxes) / 1e6
        first_write_ms = median(map(_first_write_ms, boxes))
        for box in boxes:
            box.remove(force=True)
    return Cost(driver, start_ms, disk_mb, first_write_ms)


def _start_ms(client: Client) -> float:
    began = time.perf_counter()
    client.containers.run(IMAGE, ["true"], remove=True, network_mode="none")
    return (time.perf_counter() - began) * 1000


def _sleeper(client: Client) -> Container:
    return client.containers.run(IMAGE, ["sleep", "1000"], detach=True, network_mode="none")


def _first_write_ms(box: Container) -> float:
    """The time to open a file and write to it, in the container's own view of its files."""
    box.reload()
    path = f"/proc/{box.attrs['State']['Pid']}/root/library"
    began = time.perf_counter()
    with open(path, "ab", buffering=0) as file:
        file.write(b"x")
    return (time.perf_counter() - began) * 1000


def _settled_bytes(root: str) -> int:
    """The disk space of a data root when it no longer changes: the engine deletes layers later."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    before, now = -1, _used_bytes(root)
    while now != before and time.monotonic() < deadline:
        time.sleep(SETTLE_S)
        before, now = now, _used_bytes(root)
    return now


def _used_bytes(root: str) -> int:
    """The disk space of a data root's files, including blocks that are not on the disk yet."""
    os.sync()
    done = subprocess.run(["du", "-s", "-B1", root], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


@contextmanager
def _engine(driver: str) -> Iterator[tuple[Client, str]]:
    """Start a labkitd with this driver; both it and its data root are removed afterwards."""
    folder = tempfile.mkdtemp(prefix=prefix("storage"))
    paths = Paths(f"{folder}/root", f"{folder}/run")
    parent = os.path.basename(folder)
    log_path = f"{folder}/labkitd.log"
    with open(log_path, "wb") as log:
        daemon = subprocess.Popen(
            [*daemon_command(paths), "--storage-driver", driver],
            env=os.environ | {"LABKIT_CGROUP_PARENT": parent},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        client = Client(paths.socket)
        _await(client, daemon, log_path)
        with client:
            yield client, paths.root
            for box in client.containers.list(all=True):
                box.remove(force=True)
    finally:
        daemon.terminate()
        daemon.wait()
        cgroups.detect(parent).tear_down()
        shutil.rmtree(folder)


def _await(client: Client, daemon: "subprocess.Popen[bytes]", log_path: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client.ping()
        except LabkitError:
            if daemon.poll() is not None or time.monotonic() > deadline:
                with open(log_path, encoding="utf-8") as log:
                    raise LabkitError(f"labkitd did not start: {log.read().strip()}") from None
            time.sleep(0.05)
        else:
            return


# The picture of `compare_drivers`: three panels, each with a bar for each driver.


PANELS = (
    ("start_ms", "Start", "ms", "{:.0f} ms"),
    ("disk_mb", "Disk, one container", "MB", "{:.1f} MB"),
    ("first_write_ms", "First write", "ms", "{:.1f} ms"),
)
"""The field, the panel's title, its unit, and the format of a value."""
ROOM_FOR_LABELS = 1.45


def plot_storage(result: Storage) -> Figure:
    """Draw the drivers in the same order in each panel; each panel has its own scale."""
    names = [cost.driver for cost in result.costs]
    with style.picture(height_in=2.5) as drawing:
        panels = drawing.subplots(1, len(PANELS), sharey=True)
        for axes, (field, title, _, form) in zip(panels, PANELS, strict=True):
            _draw(axes, [getattr(cost, field) for cost in result.costs], form)
            axes.set_title(title)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].tick_params(axis="y", labelcolor=style.INK)
        panels[0].invert_yaxis()
        style.headline(drawing, "A copy is paid at the start, a union at the first write")
    alt = " ".join(map(_words, result.costs))
    return Figure(
        drawing, alt=f"Three panels with a bar for each driver. {alt}", table=result.table()
    )


def _draw(axes: Any, values: list[float], form: str) -> None:
    largest = max(*values, 0.001)
    axes.set_xlim(0, largest * ROOM_FOR_LABELS)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)
    for number, value in enumerate(values):
        axes.barh(number, value, height=0.62, color=style.colour(number))
        label = form.format(value)
        axes.text(value + 0.03 * largest, number, label, va="center", color=style.INK, fontsize=9)


def _words(cost: Cost) -> str:
    return (
        f"{cost.driver}: {cost.start_ms:.0f} ms to start, {cost.disk_mb:.1f} MB for a container, "
        f"{cost.first_write_ms:.1f} ms for the first write."
    )
