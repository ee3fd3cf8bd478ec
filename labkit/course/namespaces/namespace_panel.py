"""The live panel of the namespace demo: two containers, and switches for the second's namespaces.

A process gets its namespaces when it is made.  So each switch starts *two* again with other flags,
and the map beside it is read from the kernel again.

Only one panel is open at a time.  `close()`, its button, the end of the kernel, and the end of the
containers' own lifetime remove everything.
"""

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as widgets

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.panel import Panel
from labkit.course.figures.table import Table
from labkit.course.namespaces import system_v
from labkit.course.namespaces.inter_process import KEY, TEXT, VALUE
from labkit.course.namespaces.namespace_map import NamespaceMap, map_of, said_inside
from labkit.course.page.crew import Crew, remove
from labkit.course.page.lab import connect
from labkit.course.page.predict import WIDGET_VIEW
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

LIFETIME_S = 300.0
OWN, HOST, ONE = "its own", "the host's", "that of one"
SHARED = {HOST: "host", ONE: "container:{one}"}


class Switch(NamedTuple):
    """A flag that chooses a namespace."""

    flag: str
    option: str
    """The flag's option in `containers.run`."""
    words: Mapping[str, str]
    """The flag's value for each choice, the initial choice first; `{one}` is the other container.
    If the value is empty, the flag is left out."""


SWITCHES: Mapping[str, Switch] = {
    "pid": Switch("--pid", "pid_mode", {OWN: "", **SHARED}),
    "ipc": Switch("--ipc", "ipc_mode", {OWN: "", **SHARED}),
    "net": Switch("--network", "network_mode", {OWN: "none", **SHARED}),
    "uts": Switch("--uts", "uts_mode", {OWN: "", HOST: "host"}),
    "cgroup": Switch("--cgroupns", "cgroupns", {OWN: "", HOST: "host"}),
    "user": Switch("--userns", "userns_mode", {HOST: "", OWN: "private"}),
}
"""By the kind's name in /proc/<pid>/ns."""

ASKED = {
    "its name": "hostname",
    "processes it sees": "ls -d /proc/[0-9]* | wc -l",
    "the memory of one": f"grep -qw {KEY} /proc/sysvipc/shm && echo found || echo no such key",
    "interfaces": "ls /sys/class/net | wc -l",
    "its root, on the host, is user": "awk '{ print $2 }' /proc/self/uid_map",
    "its group": "grep -m 1 -E ':(memory|):' /proc/self/cgroup | cut -d : -f 3 | cut -d / -f 1-2",
}
"""The questions in *two*, as commands for a shell."""

_open: list["NamespacePanel"] = []


class NamespacePanel(Panel):
    """*one*, an ordinary container, and *two*, whose namespaces can be chosen.

    Show it by making it the last line of a cell.
    """

    def __init__(self, *, lifetime_s: float = LIFETIME_S, client: Client | None = None) -> None:
        while _open:
            _open[-1].close()
        self.modes = {kind: next(iter(switch.words)) for kind, switch in SWITCHES.items()}
        self.status = "running"
        self._crew = Crew(client or connect(), "namespace-panel", lifetime_s)
        _open.append(self)
        try:
            self._one = self._hire("one", ipc_mode="shareable", network_mode="bridge")
            pid = int(self._one.attrs["State"]["Pid"])
            system_v.in_ipc_of(pid, lambda: system_v.make(KEY, VALUE, TEXT))
            self._two = self._hire("two", **self._options(self.modes))
        except BaseException:
            self.close()
            raise

    def choose(self, kind: str, mode: str) -> None:
        """Start *two* again, with the namespace `kind` being OWN, HOST or ONE's.

        LabkitError if the panel is closed or the engine refuses; then nothing changes.
        """
        if self not in _open:
            raise LabkitError("this panel is closed; run its cell again for a new one")
        modes = self.modes | {kind: mode}
        two = self._hire("two", **self._options(modes))
        remove(self._two)
        self._two, self.modes = two, modes
        if self._view is not None:
            self._view.show()

    @property
    def command(self) -> str:
        """The command that started *two*."""
        words = [f"{SWITCHES[kind].flag} {word}" for kind, word in self._words(self.modes, "one")]
        return " ".join(["docker run", *words, "busybox sleep 300"])

    def map(self) -> NamespaceMap:
        """The map of shared namespaces, read from the kernel."""
        return map_of({"one": self._one, "two": self._two})

    def facts(self) -> Table:
        """The answers of *two* about itself."""
        script = "; ".join(f"({command})" for command in ASKED.values())
        said = said_inside(self._two, "sh", "-c", script).splitlines()
        return Table(("asked in two", "answer"), tuple(zip(ASKED, said, strict=True)))

    def plot(self) -> "Figure":
        """The map as a picture."""
        return self.map().plot()

    def close(self, status: str = "Stopped. The containers are gone.") -> None:
        """Remove the containers; a second call is no error."""
        if self not in _open:
            return
        _open.remove(self)
        self._crew.dismiss()
        self.status = status
        if self._view is not None:
            self._view.show_end()

    def _hire(self, name: str, **options: Any) -> Container:
        container = self._crew.hire(name, "sleep 1000", **options)
        container.reload()
        return container

    def _options(self, modes: Mapping[str, str]) -> dict[str, str]:
        words = self._words(modes, self._one.id)
        return {SWITCHES[kind].option: word for kind, word in words}

    def _words(self, modes: Mapping[str, str], one: str) -> list[tuple[str, str]]:
        """The flags' values, by kind, without empty ones."""
        said = {kind: SWITCHES[kind].words[mode].format(one=one) for kind, mode in modes.items()}
        return [(kind, word) for kind, word in said.items() if word]

    def __repr__(self) -> str:
        return "A panel with two live containers, and switches for the namespaces of one."

    def _repr_html_(self) -> str:
        return (
            f"<p><i>This shows {len(SWITCHES)} switches for a container's namespaces, and "
            "a live map of them, when this cell is run in JupyterLab.</i></p>"
        )

    def _make_view(self) -> "NamespaceView":

        return NamespaceView(self)


# The widgets of `NamespacePanel`: a row of buttons for each flag, the command, the map, the facts.


BUTTON_WIDTH = "7.5em"
FLAG = widgets.Layout(width="7em", flex="none")
BUTTONS = widgets.Layout(width="max-content", flex="none")
BESIDE = widgets.Layout(margin="0 0 0 2em")


class NamespaceView:
    """The widgets on the page; their buttons control the panel, and it updates them."""

    def __init__(self, panel: "NamespacePanel") -> None:
        self._panel = panel
        self._rows = {kind: self._row(kind) for kind in SWITCHES}
        self._command, self._map, self._facts = (widgets.HTML() for _ in range(3))
        self._facts.layout = BESIDE
        self._status = widgets.HTML()
        self._button = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop, and remove the containers"
        )
        self._button.on_click(lambda _: panel.close())
        self._is_showing = False
        bottom = widgets.HBox([self._button, self._status])
        rows = [widgets.HBox([_flag(kind), row]) for kind, row in self._rows.items()]
        top = widgets.HBox([widgets.VBox(rows), self._facts])
        self.widget = widgets.VBox([top, self._command, self._map, bottom])
        self.widget.add_class("labkit-namespace-panel")
        self.show()

    def bundle(self) -> dict[str, Any]:
        """The part of the MIME bundle that shows the widgets."""
        return {WIDGET_VIEW: self.widget._repr_mimebundle_()[WIDGET_VIEW]}

    def show(self) -> None:
        """Show a new container."""
        self._show_choices()
        self._command.value = f"<code>{html.escape(self._panel.command)}</code>"
        self._map.value = str(self._panel.plot()._repr_mimebundle_()["text/html"])
        self._facts.value = self._panel.facts()._repr_html_()
        self._status.value = ""

    def show_end(self) -> None:
        """Show that the containers are gone."""
        self._status.value = html.escape(self._panel.status)
        for control in (*self._rows.values(), self._button):
            control.disabled = True

    def _row(self, kind: str) -> Any:
        switch = SWITCHES[kind]
        row = widgets.ToggleButtons(
            options=tuple(switch.words),
            value=self._panel.modes[kind],
            style={"button_width": BUTTON_WIDTH},
            layout=BUTTONS,
        )
        row.observe(lambda change: self._chosen(kind, change["new"]), "value")
        return row

    def _chosen(self, kind: str, mode: str) -> None:
        if self._is_showing or mode == self._panel.modes[kind]:
            return
        try:
            self._panel.choose(kind, mode)
        except LabkitError as error:
            self._show_choices()
            words = html.escape(str(error))
            self._status.value = f'<span style="color:{style.readable(1)}">{words}</span>'

    def _show_choices(self) -> None:
        self._is_showing = True
        for kind, row in self._rows.items():
            row.value = self._panel.modes[kind]
        self._is_showing = False


def _flag(kind: str) -> Any:
    return widgets.HTML(f"<code>{SWITCHES[kind].flag}</code>", layout=FLAG)
