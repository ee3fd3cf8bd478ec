"""Demo 01: a virtual machine and a container start at the same moment; the first line wins."""

import time

from labkit.course.demos import boot_record
from labkit.course.demos.canvas import CALM, CRIMSON, NAVY, PALE, QUIET, TEAL, WHITE, Canvas
from labkit.course.demos.controls import Press
from labkit.course.demos.demo import Demo
from labkit.course.vm.vm_result import Guest
from labkit.course.vm.vm_run import weigh_container

MIB = 1 << 20
LEFT, RIGHT = 10.0, 890.0
EVERY_S = 0.1
SHOWN_LINES = 6
ACCELERATORS = {"tcg": "on a processor in software", "kvm": "on the processor itself (KVM)"}


class RaceDemo(Demo):
    """Two bars of time; below, what the virtual machine still has to say."""

    number = "01"
    title = "A virtual machine and a container"
    say = "Both run one program, busybox. The machine boots a kernel first; the container has one."
    surprise = "The container's line is there before the guest's kernel has said its first word."
    controls = (Press("race", "Start both"),)

    def begin(self) -> None:
        """Read the record of the boot."""
        self._record = boot_record.load()
        self._now_s: float | None = None
        self._guest: Guest | None = None

    def act(self, key: str) -> None:
        """Start a container, and play the boot beside it."""
        self._guest = None
        self._now_s = 0.0
        self.pause(0)
        began_s = time.monotonic()
        self._guest = weigh_container(self.client)
        while self._now_s < self._record.ready_s:
            self.pause(EVERY_S)
            self._now_s = min(time.monotonic() - began_s, self._record.ready_s)

    def draw(self) -> Canvas:
        """The lanes, the console, and at the end what both weigh."""
        record, guest, now_s = self._record, self._guest, self._now_s
        is_over = now_s == record.ready_s
        canvas = Canvas(
            f"The virtual machine is ready after {record.ready_s:.1f} s; the container after "
            + (f"{guest.first_process_s:.2f} s." if guest else "a moment.")
        )
        took = f"first line after {record.ready_s:.1f} s" if is_over else f"{now_s or 0:.1f} s"
        self._lane(canvas, 30, ("virtual machine", took), (now_s or 0) / record.ready_s, NAVY)
        part = guest.first_process_s / record.ready_s if guest else 0
        took = f"first line after {1000 * guest.first_process_s:.0f} ms" if guest else ""
        self._lane(canvas, 125, ("container", took), max(part, 0.006 if guest else 0), CRIMSON)
        said = [line for second, line in record.lines if now_s is not None and second <= now_s]
        words = f"the machine's console ({ACCELERATORS[record.accelerator]}, recorded)"
        canvas.words((LEFT, 236), words, ink=QUIET)
        canvas.box((LEFT, 248), (RIGHT - LEFT, 180), face=CALM, edge=PALE)
        for row, line in enumerate(said[-SHOWN_LINES:]):
            canvas.words((LEFT + 10, 275 + 28 * row), line, code=True, width=860)
        if guest and is_over:
            rows = (
                ("memory", record.memory_bytes, guest.memory_bytes, TEAL),
                ("files", record.size_bytes, guest.size_bytes, TEAL),
            )
            for row, (name, vm, container, ink) in enumerate(rows):
                text = f"{name}: {vm / MIB:.0f} MiB and {container / MIB:.1f} MiB"
                x, width = LEFT + row * 445, 435
                canvas.box((x, 445), (width, 62), text, f"{vm / container:.0f} times", face=ink)
        return canvas

    @staticmethod
    def _lane(canvas: Canvas, y: float, words: tuple[str, str], part: float, ink: str) -> None:
        name, took = words
        canvas.words((LEFT, y), name, bold=True)
        canvas.words((RIGHT, y), took, anchor="end", bold=True, ink=ink)
        canvas.box((LEFT, y + 12), (RIGHT - LEFT, 46), face=WHITE, edge=PALE)
        canvas.box((LEFT, y + 12), ((RIGHT - LEFT) * part, 46), face=ink, edge=ink)
