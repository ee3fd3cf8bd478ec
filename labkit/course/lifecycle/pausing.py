"""pause: a container that counts as fast as it can, frozen for a while, and exported both ways."""

import hashlib
import io
import tarfile
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.lifecycle.endings import await_words
from labkit.course.limits.cpu_files import NS_PER_S, CpuFiles, CpuMeter
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect

EVERY_S = 0.05
COUNT = "i=0; echo ready; while :; do i=$((i+1)); echo $i > /left; echo $i > /right; done"
"""Writes one number into two files, over and over: they are equal only between two rounds."""
MOST_WHILE_PAUSED = 0.02
"""The most of a CPU that a frozen container may have used, at the moment of freezing."""


class Export(NamedTuple):
    """One `docker export`: its digest, and the contents of the two files."""

    is_paused: bool
    digest: str
    left: str
    right: str


@dataclass(frozen=True)
class Pausing:
    """CPU seconds over time, the begin and end of the pause, and the four exports."""

    samples: tuple[tuple[float, float], ...]
    paused_s: tuple[float, float]
    exports: tuple[Export, ...]

    def cpu_part(self, start_s: float, end_s: float) -> float:
        """The part of one CPU that it used between two times."""
        inside = [one for one in self.samples if start_s <= one[0] <= end_s]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    @property
    def holds(self) -> bool:
        """Whether it used no CPU time in the pause, and its two exports were equal to the byte."""
        running = {one.digest for one in self.exports if not one.is_paused}
        paused = {one.digest for one in self.exports if one.is_paused}
        still = self.cpu_part(*self.paused_s) <= MOST_WHILE_PAUSED
        return still and len(paused) == 1 and len(running) == 2

    def table(self) -> Table:
        """A row for each export."""
        return Table(
            ("export", "the container", "in /left", "in /right", "sha256 of the archive"),
            tuple(
                (
                    str(number),
                    "paused" if one.is_paused else "running",
                    one.left or "(nothing)",
                    one.right or "(nothing)",
                    f"{one.digest[:12]}…",
                )
                for number, one in enumerate(self.exports, 1)
            ),
        )

    def plot(self) -> "Figure":
        """Draw the CPU time over time; the curve is level during the pause."""
        return plot_pausing(self)


def pausing(seconds: float = 1.5, *, client: Client | None = None) -> Pausing:
    """Let it run, pause it, and let it run again, for `seconds` each.

    It is exported twice in the first part and twice in the second.
    """
    client = client or connect()
    with Crew(client, "pausing", lifetime_s=60) as crew:
        box = crew.hire_plain("counting", ["sh", "-c", COUNT])
        await_words(box, b"ready")
        box.reload()
        with _Watch(CpuFiles.of_process(int(box.attrs["State"]["Pid"]))) as watch:
            exports = _stretch(box, seconds, is_paused=False)
            box.pause()
            begin_s = watch.now_s()
            exports += _stretch(box, seconds, is_paused=True)
            end_s = watch.now_s()
            box.unpause()
            time.sleep(seconds)
        return Pausing(tuple(watch.samples), (begin_s, end_s), tuple(exports))


def _stretch(box: Container, seconds: float, *, is_paused: bool) -> list[Export]:
    deadline = time.monotonic() + seconds
    exports = [_export(box, is_paused), _export(box, is_paused)]
    time.sleep(max(0.3, deadline - time.monotonic()))
    return exports


def _export(box: Container, is_paused: bool) -> Export:
    archive = b"".join(box.export())
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        left, right = (_text(files, name) for name in ("left", "right"))
    return Export(is_paused, hashlib.sha256(archive).hexdigest(), left, right)


def _text(files: tarfile.TarFile, name: str) -> str:
    file = files.extractfile(name)
    return file.read().decode().strip() if file else ""


class _Watch:
    """Reads a group's CPU time in a thread during the `with`."""

    def __init__(self, files: CpuFiles) -> None:
        self.samples: list[tuple[float, float]] = []
        self._meter = CpuMeter(files)
        self._first_ns = self._meter.cpu_ns()
        self._begin = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    def _read(self) -> None:
        while not self._over.wait(EVERY_S):
            cpu_ns = self._meter.cpu_ns() - self._first_ns
            self.samples.append((self.now_s(), cpu_ns / NS_PER_S))

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._meter.close()


def plot_pausing(result: Pausing) -> Figure:
    """Draw the CPU time over time, with the pause shaded."""
    begin_s, end_s = result.paused_s
    with style.picture(height_in=3.0) as drawing:
        axes = drawing.subplots()
        axes.axvspan(begin_s, end_s, color="#EEF0F3", linewidth=0)
        times = [time_s for time_s, _ in result.samples]
        used = [cpu_s for _, cpu_s in result.samples]
        level = next(cpu_s for time_s, cpu_s in result.samples if time_s >= begin_s)
        axes.plot(times, used, color=style.colour(0))
        style.expected_line(axes, level, begin_s, end_s)
        axes.text((begin_s + end_s) / 2, max(used) * 0.94, "paused", ha="center", fontweight="bold")
        axes.set(xlim=(0, times[-1]), ylim=(0, max(used) * 1.05))
        axes.set(xlabel="time (s)", ylabel="CPU time used so far (s)")
        part = result.cpu_part(begin_s, end_s)
        style.headline(drawing, f"While paused: {part:.1%} of a CPU", "dashed: expected")
    before = result.cpu_part(0, begin_s)
    after = result.cpu_part(end_s, times[-1])
    alt = (
        "A curve of the CPU time a container has used: it rises, is level while the container is "
        f"paused, and rises again. Of one CPU it used {before:.0%} before, {part:.1%} while it was "
        f"paused from {begin_s:.1f} s to {end_s:.1f} s, and {after:.0%} afterwards."
    )
    return Figure(drawing, alt=alt, table=result.table())
