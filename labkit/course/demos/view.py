"""A demo on the page: controls at the left, the picture at the right, the presenter's line below.

The whole is an element that the browser lays over its window (the Popover API of HTML), so that a
demo begins at the top and fits, in JupyterLab, in Notebook 7 and as a page for itself alike.  The
keys beside the buttons press them, R restarts, F or Esc leaves the window and enters it again.
"""

import html
import re
from importlib import resources
from typing import Any, ClassVar, Protocol

import ipywidgets as widgets

from labkit.course.demos.canvas import Canvas
from labkit.course.demos.controls import Choice, Control, Slide, Value
from labkit.course.page.predict import WIDGET_VIEW

KEYS = "Esc: the page"
_LONG_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class Shown(Protocol):
    """The part of a demo that the page uses; `Demo` explains each."""

    number: ClassVar[str]
    title: ClassVar[str]
    say: ClassVar[str]
    surprise: ClassVar[str]
    controls: ClassVar[tuple[Control, ...]]
    values: dict[str, Value]
    note: str
    is_busy: bool

    def draw(self) -> Canvas:
        """The picture."""

    def ask(self, key: str, value: Value = "") -> None:
        """Use a control."""

    def ask_restart(self) -> None:
        """Begin again."""

    def close(self) -> None:
        """Remove all."""


class DemoView:
    """The widgets of one demo."""

    def __init__(self, demo: Shown) -> None:
        self._demo = demo
        self._is_showing = False
        self._inputs = {control.key: self._input(control) for control in demo.controls}
        self._labels = [_label(control) for control in demo.controls]
        self._restart = widgets.Button(description="Restart", icon="refresh")
        self._restart.add_class("labkit-demo-restart")
        self._restart.on_click(lambda _: demo.ask_restart())
        self._close = widgets.Button(description="Close", icon="stop")
        self._close.add_class("labkit-demo-close")
        self._close.on_click(lambda _: demo.close())
        self._picture, self._note = widgets.HTML(), widgets.HTML()
        self._picture.add_class("labkit-demo-picture")
        self._note.add_class("labkit-demo-note")
        self._whole = widgets.VBox([self._top(), self._body(), self._words()])
        self._whole.add_class("labkit-demo")
        self.show()

    def bundle(self) -> dict[str, Any]:
        """Return the data that Jupyter shows."""
        return {WIDGET_VIEW: self._whole._repr_mimebundle_()[WIDGET_VIEW]}

    def take_window(self) -> None:
        """Run the script that lays the demo over the window and listens to its keys."""
        from IPython.display import HTML, display  # noqa: PLC0415 only a page needs it

        script: Any = HTML(f"<script>{_file('window.js')}</script>")  # type: ignore[no-untyped-call]
        display(script)  # type: ignore[no-untyped-call]

    def show(self) -> None:
        """The picture and the note as things are now."""
        demo = self._demo
        self._picture.value = demo.draw().svg()
        self.show_note()

    def show_note(self) -> None:
        """The note, or that something is being done."""
        self._say("…" if self._demo.is_busy else self._demo.note)

    def show_start(self) -> None:
        """The demo was restarted: the controls as they were at the start."""
        self.show_values()
        self.show()

    def show_values(self) -> None:
        """Set the controls to the demo's values, after one of them was refused."""
        self._is_showing = True
        for key, value in self._demo.values.items():
            if key in self._inputs and hasattr(self._inputs[key], "value"):
                self._inputs[key].value = value
        self._is_showing = False

    def show_end(self) -> None:
        """The demo is closed."""
        for control in (*self._inputs.values(), self._restart, self._close):
            control.disabled = True
        self._say(self._demo.note)

    def _say(self, note: str) -> None:
        words = html.escape(_LONG_ID.sub(r"\1", note))
        self._note.value = f'<div role="status">{words}</div>'

    def _top(self) -> Any:
        words = html.escape(f"{self._demo.number}  {self._demo.title}")
        style = f"<style>{_file('window.css')}</style>"
        title = widgets.HTML(f"{style}<h1>{words}</h1><span>{KEYS}</span>")
        title.add_class("labkit-demo-title")
        top = widgets.HBox([title, self._restart, self._close])
        top.add_class("labkit-demo-top")
        return top

    def _body(self) -> Any:
        rows = []
        for label, field in zip(self._labels, self._inputs.values(), strict=True):
            rows += [label, field] if label is not None else [field]
        left = widgets.VBox([*rows, self._note])
        left.add_class("labkit-demo-controls")
        body = widgets.HBox([left, self._picture])
        body.add_class("labkit-demo-body")
        return body

    def _words(self) -> Any:
        say, surprise = html.escape(self._demo.say), html.escape(self._demo.surprise)
        words = widgets.HTML(f"<b>Say</b> {say} <b>What surprises</b> {surprise}")
        words.add_class("labkit-demo-words")
        return words

    def _input(self, control: Control) -> Any:
        if isinstance(control, Choice):
            field: Any = widgets.ToggleButtons(options=control.options, value=control.start)
            field.observe(lambda change: self._used(control.key, change["new"]), "value")
        elif isinstance(control, Slide):
            field = widgets.IntSlider(
                value=control.start,
                min=control.low,
                max=control.high,
                step=control.step,
                continuous_update=False,
            )
            field.observe(lambda change: self._used(control.key, change["new"]), "value")
        else:
            field = widgets.Button(description=control.label)
            field.on_click(lambda _: self._used(control.key, ""))
        field.add_class(f"labkit-demo-{control.key}")
        return field

    def _used(self, key: str, value: Value) -> None:
        if not self._is_showing:
            self._demo.ask(key, value)


def _label(control: Control) -> Any:
    """The words above a choice or a slider; a button has its own."""
    if isinstance(control, Choice | Slide):
        return widgets.HTML(html.escape(control.label))
    return None


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
