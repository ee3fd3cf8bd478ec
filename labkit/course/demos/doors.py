"""Demo 07: two doors into a container: attach joins process 1, exec starts another process."""

from labkit.course.demos.canvas import AMBER, CALM, CRIMSON, NAVY, PALE, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Press
from labkit.course.demos.demo import Demo
from labkit.course.page.terminal import DETACH, Terminal
from labkit.course.running.doors import processes
from labkit.errors import ConflictError, LabkitError, NotFoundError

ATTACH, EXEC = "attach", "exec"
WHO = "echo $$ $(tty)"
INK = {ATTACH: NAVY, EXEC: TEAL}


class DoorsDemo(Demo):
    """A container whose process 1 is a shell, and who is at its doors."""

    number = "07"
    title = "Two doors"
    say = "attach puts you at process 1's own terminal; exec starts a new process with a new one."
    surprise = (
        "The same word, exit: behind exec it ends a shell, behind attach the whole container."
    )
    controls = (
        Press(ATTACH, "docker attach"),
        Press(EXEC, "docker exec -it … sh"),
        Press("exit", "type exit there"),
        Press("detach", "ctrl-p ctrl-q"),
    )

    def begin(self) -> None:
        """Start the container; no one is at a door."""
        self._door = ""
        self._answer = ("", "")
        self._terminal: Terminal | None = None
        self._box = self.crew.hire_plain("doors", ["sh"], tty=True, stdin_open=True)
        self.keep(self._leave)

    def act(self, key: str) -> None:
        """Go in by a door, or leave by the one that is open."""
        if key in (ATTACH, EXEC):
            self._enter(key)
            return
        if self._terminal is None:
            raise NotFoundError("no door is open: press attach or exec first")
        self._terminal.press(b"exit\n" if key == "exit" else DETACH)
        self._terminal.end()
        self._terminal, left = None, self._door
        self._door = ""
        if key == "exit" and left == ATTACH:
            self._box.wait()
        if key == "detach" and left == EXEC:
            self.note = "the shell of exec lives on without you, until its container ends"

    def draw(self) -> Canvas:
        """The container with its processes; the two doors; you at one of them."""
        self._box.reload()
        is_running = self._box.status == "running"
        there = processes(self._box) if is_running else ()
        names = [f"{one.command} {one.inner_pid}" for one in there]
        canvas = Canvas(
            f"The container {self._box.status}, in it {', '.join(names) or 'nothing'}; "
            f"you are {f'at {self._door}' if self._door else 'outside'}."
        )
        edge = NAVY if is_running else CRIMSON
        canvas.box((330, 20), (560, 400), face="#FFFFFF", edge=edge, thick=4)
        words = "the container runs" if is_running else "the container has ended"
        canvas.words((350, 58), words, bold=True, ink=edge)
        for row, verb in enumerate((ATTACH, EXEC)):
            y, is_open = 110.0 + 160 * row, self._door == verb
            canvas.box((10, y), (150, 64), verb, face=INK[verb] if is_open else CALM)
            if is_open:
                canvas.disc((200, y + 32), 20, face=AMBER)
                canvas.words((200, y - 4), "you", anchor="middle", bold=True)
                canvas.arrow((224, y + 32), (352, y + 32), ink=INK[verb], thick=4)
        for row, one in enumerate(there[:4]):
            y = 84.0 + (0 if row == 0 else 160) + max(0, row - 1) * 62
            is_you = self._door != "" and str(one.inner_pid) == self._answer[0]
            face = INK[self._door] if is_you else PALE
            high = 110.0 if row == 0 or len(there) == 2 else 56.0
            lines = [f"process {one.inner_pid}: {one.command}", f"terminal {one.terminal}"]
            shown = lines if high > 100 else [" ".join((*lines[0].split(":")[:1], one.terminal))]
            canvas.box((360, y), (500, high), *shown, face=face)
        if self._door:
            pid, tty = self._answer
            canvas.words((10, 470), f"# {WHO}", code=True, ink=QUIET)
            canvas.words((10, 504), f"{pid} {tty}", code=True, bold=True, size=24)
        return canvas

    def _enter(self, verb: str) -> None:
        if self._terminal is not None:
            raise ConflictError(f"you are at {self._door}: leave there first")
        self._box.reload()
        if self._box.status != "running":
            raise LabkitError("the container has ended: press Restart")
        words = ["attach", self._box.id] if verb == ATTACH else ["exec", "-it", self._box.id, "sh"]
        self._terminal = Terminal(words)
        pid, tty = self._terminal.ask(WHO).split()
        self._door, self._answer = verb, (pid, tty)

    def _leave(self) -> None:
        if self._terminal is not None:
            self._terminal.hang_up()
            self._terminal = None
