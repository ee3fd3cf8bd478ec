"""Demo 09b: a program that takes more and more memory, until the kernel ends it."""

import time
from contextlib import suppress

from labkit.course.cgroups.groups import place_of
from labkit.course.demos.canvas import AMBER, CRIMSON, NAVY, PALE, QUIET, TEAL, Canvas, Point
from labkit.course.demos.controls import Press, Slide
from labkit.course.demos.demo import Demo
from labkit.course.figures import style
from labkit.course.limits.memory_result import KILLED, MIB, MemorySample
from labkit.course.limits.memory_run import KEEPS, MOST_MIB, used

LEFT, RIGHT, TOP, BOTTOM = 110.0, 720.0, 30.0, 400.0
EVERY_S = 0.1
LONGEST_S = 60.0


class MemoryDemo(Demo):
    """The curve of a container's memory and swap, with the limits as lines."""

    number = "09b"
    title = "Fill the memory"
    say = "-m is a ceiling: at it the kernel first takes memory back, then swaps, and then kills."
    surprise = "There is no error to catch: the program is ended by SIGKILL, exit code 137."
    controls = (
        Slide("memory", "docker run -m … (MiB)", 16, 128, 8, 48),
        Slide("swap", "and swap beyond it (MiB)", 0, 64, 8, 0),
        Press("fill", "fill it"),
    )

    def begin(self) -> None:
        """Nothing runs yet."""
        self._samples: list[MemorySample] = []
        self._code: int | None = None

    def act(self, key: str) -> None:
        """`fill` runs the program to its end."""
        self._samples, self._code = [], None
        if key == "fill":
            self._fill()

    @property
    def limits(self) -> tuple[int, int]:
        """The memory, and memory with swap, in bytes."""
        memory = int(self.values["memory"]) * MIB
        return memory, memory + int(self.values["swap"]) * MIB

    def draw(self) -> Canvas:
        """Memory in navy, with swap on top in amber; dashed are the limits."""
        memory, whole = self.limits
        most = max([whole, *(one.memory_bytes + one.swap_bytes for one in self._samples)]) * 1.12
        end_s = max(2.0, self._samples[-1].time_s if self._samples else 0.0)
        held = self._samples[-1].memory_bytes if self._samples else 0
        canvas = Canvas(f"{held / MIB:.0f} MiB held, limit {memory / MIB:.0f}; {self._end}.")

        def at(one: MemorySample, held_bytes: int) -> Point:
            x = LEFT + one.time_s / end_s * (RIGHT - LEFT)
            return x, BOTTOM - held_bytes / most * (BOTTOM - TOP)

        canvas.line((LEFT, BOTTOM), (RIGHT, BOTTOM), ink=style.GRID)
        canvas.words((LEFT - 8, BOTTOM + 6), "0 MiB", anchor="end", ink=QUIET)
        canvas.words((RIGHT, BOTTOM + 34), f"{end_s:.0f} s", anchor="end", ink=QUIET)
        heights = [BOTTOM - limit / most * (BOTTOM - TOP) for limit in (memory, whole)]
        names = (f"-m {memory // MIB} MiB", f"and swap {whole // MIB}")
        for height, name, ink in zip(heights, names, (CRIMSON, AMBER), strict=True):
            if ink == CRIMSON or whole > memory:
                canvas.line((LEFT, height), (RIGHT, height), ink=ink, thick=3, dashed=True)
                canvas.words((RIGHT + 8, height + 8), name, bold=True)
        if len(self._samples) > 1:
            both = [at(one, one.memory_bytes + one.swap_bytes) for one in self._samples]
            canvas.curve(both, ink=AMBER)
            canvas.curve([at(one, one.memory_bytes) for one in self._samples], ink=NAVY, thick=5)
        face = PALE if self._code is None else CRIMSON if self._code == KILLED else TEAL
        canvas.box((LEFT, 450), (RIGHT - LEFT, 60), self._end, face=face)
        return canvas

    @property
    def _end(self) -> str:
        if self._code is not None:
            return f"exit code {self._code}: the kernel killed it"
        return f"{self._held_mib:.0f} MiB held" if self._samples else "not started"

    @property
    def _held_mib(self) -> float:
        return self._samples[-1].memory_bytes / MIB

    def _fill(self) -> None:
        self.crew.dismiss()
        memory, whole = self.limits
        box = self.crew.hire_plain(
            "memory",
            ["sh", "-c", KEEPS.format(most=MOST_MIB * MIB)],
            mem_limit=memory,
            memswap_limit=whole,
        )
        box.reload()
        place = place_of(int(box.attrs["State"]["Pid"]), "memory")
        began_s = time.monotonic()
        with suppress(OSError):  # the group is removed with its container
            while (now_s := time.monotonic() - began_s) < LONGEST_S:
                self._samples.append(MemorySample(now_s, *used(place)))
                self.pause(EVERY_S)
        if now_s >= LONGEST_S:
            box.kill()
            self.note = "nothing limits the memory here: labkit doctor says why"
        self._code = int(box.wait()["StatusCode"])
