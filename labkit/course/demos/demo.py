"""The frame of all demos: controls, one picture, words for the presenter.

A demo defines its start (`begin`), the effect of each control (`act`) and its picture (`draw`).
The frame does the rest.  Effects run one after the other in a thread of the demo, so that the page
stays alive while one of them runs.

Nothing is left behind: `close`, the next demo, the end of the kernel and the end of the page
(`labkit.course.page.closing`) remove the demo's containers, and call the functions that `keep` was
given.
"""

import atexit
import html
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from labkit.client import Client
from labkit.course.demos.canvas import Canvas
from labkit.course.demos.controls import Control, Value
from labkit.course.figures.panel import Panel
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import DaemonUnavailableError, LabkitError

if TYPE_CHECKING:
    from labkit.course.demos.view import DemoView

HeldT = TypeVar("HeldT")
LIFETIME_S = 3600.0
CLOSE_TIMEOUT_S = 3.0

_open: list["Demo"] = []


class ClosedError(LabkitError):
    """The demo was closed while it was doing something."""


class Demo(Panel):
    """One demo.  Show it by making it the last line of a cell."""

    number: ClassVar[str]
    title: ClassVar[str]
    say: ClassVar[str]
    """The presenter's sentence."""
    surprise: ClassVar[str]
    """The fact that usually surprises an audience."""
    controls: ClassVar[tuple[Control, ...]]
    every_s: ClassVar[float | None] = None
    """How often a picture that moves by itself is drawn again."""

    def __init__(self, client: Client | None = None) -> None:
        while _open:
            _open[-1].close()
        self.client = client or connect()
        self.values: dict[str, Value] = {}
        self.note = ""
        self.is_busy = False
        self._ended = threading.Event()
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._kept = ExitStack()
        self.crew = Crew(self.client, f"demo-{self.number}", LIFETIME_S)
        self._thread = threading.Thread(target=self._run, name=f"demo-{self.number}", daemon=True)
        _open.append(self)
        atexit.register(self.close)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        self._thread.start()

    # A demo defines these.

    def begin(self) -> None:
        """Make what the demo shows at the start: within a second."""

    def act(self, key: str) -> None:
        """Do what the control `key` asks for; its value is in `values`."""

    def draw(self) -> Canvas:
        """The picture as things are now."""
        raise NotImplementedError

    # A demo may use these.

    def keep(self, undo: Callable[[], object]) -> None:
        """Call `undo` when the demo is restarted or closed; the last kept is the first undone."""
        self._kept.callback(undo)

    def hold(self, what: AbstractContextManager[HeldT]) -> HeldT:
        """Enter a `with` that is left when the demo is restarted or closed."""
        return self._kept.enter_context(what)

    def pause(self, seconds: float) -> None:
        """Show the picture as it is, and wait; ClosedError if the demo is closed while it waits."""
        self.show()
        if self._ended.wait(seconds):
            raise ClosedError("the demo was closed")

    def show(self) -> None:
        """Draw the picture again, if it is on a page."""
        if self._view is not None:
            self._view.show()

    # The page and the tests call these.

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return not self._ended.is_set()

    def use(self, key: str, value: Value = "") -> None:
        """Use a control, and wait until all that it causes is done."""
        if not self.is_open:
            raise ClosedError("this demo is closed; run its cell again for a new one")
        self.values[key] = value
        self.note = ""
        self.act(key)
        self.show()

    def ask(self, key: str, value: Value = "") -> None:
        """Use a control in the demo's own thread; what fails is said below the picture."""
        self._work.put(lambda: self.use(key, value))

    def ask_restart(self) -> None:
        """Do `restart` in the demo's own thread."""
        self._work.put(self.restart)

    def restart(self) -> None:
        """Remove all that the demo has made, and begin again."""
        self._clean()
        self._begin()
        if self._view is not None:
            self._view.show_start()

    def close(self) -> None:
        """Remove all that the demo has made; twice does no harm."""
        if self not in _open:
            return
        _open.remove(self)
        atexit.unregister(self.close)
        self._ended.set()
        self._work.put(None)
        with suppress(DaemonUnavailableError):
            self.crew.dismiss()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)
        self._clean()
        self.note = "Closed: nothing of it is left. Run the cell again for a new one."
        if self._view is not None:
            self._view.show_end()

    def _begin(self) -> None:
        self.values = {control.key: control.start for control in self.controls}
        self.note = ""
        self.begin()

    def _clean(self) -> None:
        # If the engine has ended, so have the containers, but not all that was kept.
        with suppress(DaemonUnavailableError):
            self.crew.dismiss()
        with suppress(DaemonUnavailableError):
            self._kept.close()

    def _run(self) -> None:
        """The demo's own thread."""
        while self.is_open:
            try:
                work = self._work.get(timeout=self.every_s)
            except queue.Empty:
                self._do(self.show)
                continue
            if work is not None:
                self._do(work)
            self._work.task_done()

    def _do(self, work: Callable[[], None]) -> None:
        self.is_busy = work != self.show
        try:
            if self.is_busy:
                self._look()
            work()
        except ClosedError:
            return
        except (LabkitError, OSError) as error:
            self.note = str(error)
            if self._view is not None:
                self._view.show_values()
        except Exception as error:  # a page whose thread has ended would no longer react
            self.note = f"this demo failed ({error!r}): press Restart"
        self.is_busy = False
        self._look()

    def _look(self) -> None:
        """Show the picture; without a new one, if what it looks at has ended."""
        try:
            self.show()
        except (LabkitError, OSError) as error:
            self.note = self.note or f"{error}: press Restart"
            if self._view is not None:
                self._view.show_note()

    def __repr__(self) -> str:
        return (
            f"Demo {self.number}. {self.title}: run this cell in JupyterLab, or open it as a page."
        )

    def _repr_html_(self) -> str:
        return f"<p><i>{html.escape(repr(self))}</i></p>"

    def _make_view(self) -> "DemoView":
        from labkit.course.demos.view import DemoView  # noqa: PLC0415 it needs widgets

        return DemoView(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(include, exclude)
        if self._view is not None:
            self._view.take_window()
        return bundle
