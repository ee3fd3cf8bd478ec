"""A terminal on the page: `%docker run -it …` in JupyterLab shows one, which gets the keys.

Nothing starts before its button is pressed, so that a page that runs without a reader leaves no
container behind.  Only one terminal is open at a time; the end of the kernel closes it.
"""

import atexit
import html
import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from labkit.course.figures.panel import Panel
from labkit.course.page.predict import WIDGET_VIEW
from labkit.course.page.terminal import DETACH, Terminal

KEYS = {"ctrl-c": b"\x03", "ctrl-d": b"\x04", "ctrl-p ctrl-q": DETACH}
SHOWN_LETTERS = 20_000
END_TIMEOUT_S = 5.0

_open: list["TerminalPanel"] = []


class TerminalPanel(Panel):
    """`labkit WORDS…` in a terminal on the page.  Show it as the last line of a cell."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.screen = ""
        self._terminal: Terminal | None = None
        self._reader: threading.Thread | None = None

    def open(self) -> None:
        """Start the command; an older terminal is closed first."""
        while _open:
            _open[-1].close()
        self.screen = ""
        self._terminal = Terminal(self.words)
        _open.append(self)
        atexit.register(self.close)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, keys: bytes) -> None:
        """Press keys; nothing happens if no terminal is open."""
        if self._terminal is not None and self in _open:
            self._terminal.press(keys)

    def close(self) -> None:
        """End the command, and with `--rm` its container; a second call is no error."""
        if self not in _open:
            return
        _open.remove(self)
        atexit.unregister(self.close)
        if self._terminal is not None:
            self._terminal.hang_up()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(END_TIMEOUT_S)

    @property
    def is_open(self) -> bool:
        """Whether the command runs."""
        return self in _open

    def _read(self) -> None:
        terminal = self._terminal
        while terminal is not None and (text := terminal.read()) is not None:
            if text:
                self.screen = (self.screen + text)[-SHOWN_LETTERS:]
                if self._view is not None:
                    self._view.show()
        self.close()
        if self._view is not None:
            self._view.show()

    def __repr__(self) -> str:
        return f"A terminal for docker {' '.join(self.words)}: run this cell in JupyterLab."

    def _repr_html_(self) -> str:
        return f"<p><i>{html.escape(repr(self))}</i></p>"

    def _make_view(self) -> "TerminalView":
        return TerminalView(self)


class TerminalView:
    """The screen, a line for typing, and buttons for keys without a letter."""

    def __init__(self, panel: TerminalPanel) -> None:
        self._panel = panel
        self._screen = widgets.HTML()
        self._line = widgets.Text(
            placeholder="type a line, and press Enter", continuous_update=False
        )
        self._line.observe(self._typed, "value")
        self._start = widgets.Button(description="Open the terminal", button_style="primary")
        self._start.on_click(lambda _: self._open())
        self._keys = [self._key(name, keys) for name, keys in KEYS.items()]
        self._whole = widgets.VBox(
            [self._start, self._screen, widgets.HBox([self._line, *self._keys])]
        )
        self.show()

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""
        return {WIDGET_VIEW: self._whole._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self) -> None:
        """Show the screen, and the line and the keys only while the command runs."""
        command = html.escape(f"$ docker {' '.join(self._panel.words)}\n")
        self._screen.value = (
            '<pre style="background:#1F2328;color:#F3F5F7;padding:0.6em;max-height:20em;'
            f'overflow:auto">{command}{html.escape(self._panel.screen)}</pre>'
        )
        for control in (self._line, *self._keys):
            control.disabled = not self._panel.is_open
        self._start.disabled = self._panel.is_open

    def _open(self) -> None:
        self._panel.open()
        self.show()

    def _typed(self, change: Any) -> None:
        if change["new"]:
            self._panel.press(change["new"].encode() + b"\n")
            self._line.value = ""

    def _key(self, name: str, keys: bytes) -> Any:
        button = widgets.Button(description=name)
        button.on_click(lambda _: self._panel.press(keys))
        return button
