"""Demo 08b: docker stop asks with SIGTERM, waits, and then kills."""

import threading
import time

from labkit.client.containers import Container
from labkit.course.demos.canvas import CRIMSON, GOOD, NAVY, PALE, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Choice, Press, Slide
from labkit.course.demos.demo import Demo
from labkit.course.lifecycle.endings import KILL, PROGRAMS, await_words

LEFT, RIGHT, LINE = 40.0, 860.0, 250.0
BY_NAME = {program.name: program for program in PROGRAMS}
EVERY_S = 0.1


class StopDemo(Demo):
    """A clock between SIGTERM and SIGKILL, and how three programs use the time."""

    number = "08b"
    title = "Stop, with a grace"
    say = "stop sends SIGTERM, waits as long as -t says, and only then sends SIGKILL."
    surprise = "sleep as process 1 is deaf: the kernel gives process 1 no default handler."
    controls = (
        Choice("program", "process 1", tuple(BY_NAME)),
        Slide("grace", "docker stop -t … (s)", 1, 6, 1, 3),
        Press("stop", "docker stop"),
    )

    def begin(self) -> None:
        """Start the first program."""
        self._box: Container | None = None
        self._took_s: float | None = None
        self._code: int | None = None
        self._start()

    def act(self, key: str) -> None:
        """Another program begins again; `stop` runs while the clock is drawn."""
        if key == "stop":
            if self._code is not None:
                self._start()
            self._stop()
        elif key == "program" or self._code is not None:
            self._start()

    def draw(self) -> Canvas:
        """The line of time, the two signals on it, and the end."""
        grace_s, took_s = int(self.values["grace"]), self._took_s or 0.0
        program = BY_NAME[str(self.values["program"])]
        scale = (RIGHT - LEFT) / (grace_s + 1)
        end_x = LEFT + min(took_s, grace_s + 1) * scale
        state = "it runs" if self._code is None else f"it ended with {self._code}"
        canvas = Canvas(f"docker stop -t {grace_s} on {program.name}: {took_s:.1f} s, {state}.")
        canvas.words((LEFT, 80), program.script, code=True, width=RIGHT - LEFT)
        flags = "".join(f" --{name}" for name in program.options)
        canvas.words((LEFT, 40), f"docker run{flags} busybox sh -c '…", code=True, ink=QUIET)
        canvas.box((LEFT, LINE - 30), (RIGHT - LEFT, 60), face=GOOD, edge=TEAL)
        canvas.box((LEFT, LINE - 30), (end_x - LEFT, 60), face=NAVY, edge=NAVY)
        for second in range(grace_s + 2):
            x = LEFT + second * scale
            canvas.line((x, LINE + 30), (x, LINE + 42))
            canvas.words((x, LINE + 68), f"{second} s", anchor="middle", ink=QUIET)
        if self._took_s is not None:
            canvas.line((LEFT, LINE - 60), (LEFT, LINE + 30), ink=TEAL, thick=4)
            canvas.words((LEFT, LINE - 70), "SIGTERM", bold=True, ink=TEAL)
        x = LEFT + grace_s * scale
        killed = self._code == 128 + KILL
        ink = CRIMSON if killed else QUIET
        canvas.line((x, LINE - 60), (x, LINE + 30), ink=ink, thick=4, dashed=not killed)
        words = "SIGKILL" if killed else "SIGKILL, if it must be"
        canvas.words((x, LINE - 70), words, anchor="end", bold=killed, ink=ink)
        end = "running" if self._code is None else f"exit code {self._code} after {took_s:.2f} s"
        face = PALE if self._code is None else CRIMSON if killed else TEAL
        canvas.box((250, 380), (400, 80), end, face=face)
        return canvas

    def _start(self) -> None:
        self.crew.dismiss()
        program = BY_NAME[str(self.values["program"])]
        self._took_s = self._code = None
        command = ["sh", "-c", program.script]
        self._box = self.crew.hire_plain("stop", command, **program.options)
        await_words(self._box, b"ready")

    def _stop(self) -> None:
        box, grace_s = self._box, int(self.values["grace"])
        if box is None:
            return
        stopping = threading.Thread(target=box.stop, args=(grace_s,), daemon=True)
        began_s = time.monotonic()
        stopping.start()
        while stopping.is_alive():
            self._took_s = time.monotonic() - began_s
            self.pause(0)
            stopping.join(EVERY_S)
        self._took_s = time.monotonic() - began_s
        self._code = int(box.wait()["StatusCode"])
