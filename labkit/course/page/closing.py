"""The end of a page's containers and networks with the page: an extension of the server.

JupyterLab keeps a kernel when its tab is closed, and so the containers, networks and groups that
the page has made would stay.  This extension looks once a second at the server's own count of
connections to each kernel (`connections` in `/api/kernels`).  The rules:

- A kernel that had a page and has none for GRACE_S is *closed*, whether the tab was closed or the
  browser was killed: both end the connection.
- A reload ends the connection, too, but asks the server for a page.  After such a request a kernel
  has RELOAD_S to get its page back, however slow the machine is.
- A computer that sleeps does not end a connection, the server gives it up: no answer to its pings
  for 90 s.  Such a kernel is *out of sight* and keeps all for SIGHT_S.  If the server's own machine
  sleeps, this extension sleeps with it: it counts its own steps, and not the time.
- When a kernel is closed, what carries its label is removed (`owners`): the containers and
  networks of panels and experiments.  The kernel and its variables stay, as JupyterLab promises.
  A demo, and a page without code (Voila), has nothing to come back to: its kernel ends as well.
- When a kernel has ended, also by SIGKILL, what carries its label is removed.
- What a learner makes by a docker command carries no label, and stays, as after a command in a
  terminal.

A kernel that never had a page (nbclient, nbconvert) is left alone.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from labkit.client import Client
from labkit.course.page import owners
from labkit.errors import LabkitError

EVERY_S = 1.0
SHUTDOWN_S = 20.0
"""How long a kernel that is asked to end may take to remove what it has made; usually a second."""
GRACE_S = 7
RELOAD_S = 60
SIGHT_S = 12 * 3600
"""All three in steps of EVERY_S."""


class Absences:
    """How long each kernel has been without a page; told once a step."""

    def __init__(self) -> None:
        self._alone: dict[str, int] = {}
        """Steps without a page, of the kernels that had one."""
        self._lost: set[str] = set()
        self._reloads: dict[str, bool] = {}

    def lose(self, kernel_id: str) -> None:
        """The server has given up a connection of this kernel, which the browser has not closed."""
        self._lost.add(kernel_id)

    def request(self) -> None:
        """A browser has asked for a page."""
        for kernel_id, steps in self._alone.items():
            if steps:
                self._reloads[kernel_id] = True

    def step(self, connections: Mapping[str, int]) -> list[str]:
        """The kernels whose last page was closed; each is named once."""
        for kernel_id in set(self._alone) - set(connections):
            self._forget(kernel_id)
        closed = []
        for kernel_id, count in connections.items():
            if count:
                self._forget(kernel_id)
                self._alone[kernel_id] = 0
            elif kernel_id in self._alone:
                self._alone[kernel_id] += 1
                if self._alone[kernel_id] > self._patience(kernel_id):
                    self._forget(kernel_id)
                    closed.append(kernel_id)
        return closed

    def _patience(self, kernel_id: str) -> int:
        if kernel_id in self._lost:
            return SIGHT_S
        return RELOAD_S if self._reloads.get(kernel_id) else GRACE_S

    def _forget(self, kernel_id: str) -> None:
        self._alone.pop(kernel_id, None)
        self._reloads.pop(kernel_id, None)
        self._lost.discard(kernel_id)


class Closing:
    """The extension, in one Jupyter server."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.absences = Absences()
        self._births: dict[str, str] = {}
        """The process of each kernel."""
        self._endings: set[asyncio.Future[None]] = set()

    async def watch(self) -> None:
        """Look at the kernels for as long as the server lives."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._look()
            except Exception:  # one bad look must not end the watch
                self._server.log.exception("labkit: could not end what a closed page has made")

    async def _look(self) -> None:
        kernels = self._server.kernel_manager
        models = {model["id"]: model for model in kernels.list_kernels()}
        births = {kernel_id: self._birth(kernel_id) for kernel_id in models}
        ended = {old for name, old in self._births.items() if old and births.get(name) != old}
        self._births = births
        for kernel_id in models:
            kernels.get_kernel(kernel_id).shutdown_wait_time = SHUTDOWN_S
        counts = {kernel_id: model["connections"] for kernel_id, model in models.items()}
        for kernel_id in self.absences.step(counts):
            self._server.log.info(f"labkit: the page of kernel {kernel_id} is closed")
            ended.add(births[kernel_id])
            if await self._is_for_show(kernel_id):
                # Beside the watch: a kernel that is slow to end must not delay another's page.
                ending = asyncio.ensure_future(kernels.shutdown_kernel(kernel_id))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
        if ended - {""}:
            await asyncio.to_thread(remove_of, ended - {""})

    def _birth(self, kernel_id: str) -> str:
        provisioner = self._server.kernel_manager.get_kernel(kernel_id).provisioner
        pid = getattr(provisioner, "pid", None)
        return owners.birth(pid) if pid else ""

    async def _is_for_show(self, kernel_id: str) -> bool:
        """Whether it is a demo's kernel, or that of a page without a notebook (Voila)."""
        for session in await self._server.session_manager.list_sessions():
            if session["kernel"] and session["kernel"]["id"] == kernel_id:
                return bool(os.path.basename(os.path.dirname(session["path"])) == "demos")
        return True


def remove_of(births: set[str]) -> None:
    """Remove what these processes have made; without a daemon there is nothing."""
    with suppress(LabkitError, OSError), Client() as client:
        owners.remove_marked(client, lambda mark: owners.owner(mark) in births)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    closing = Closing(server)
    settings = server.web_app.settings
    settings["log_function"] = _noticing(closing.absences, settings["log_function"])
    settings["kernel_websocket_connection_class"] = _losing(
        closing.absences, settings["kernel_websocket_connection_class"]
    )
    closing.task = asyncio.ensure_future(closing.watch())  # type: ignore[attr-defined]  # keeps the task alive


def _noticing(absences: Absences, log: Any) -> Any:
    """The server's log function, which also notices when a browser asks for a page."""

    def notice(handler: Any, *arguments: Any, **options: Any) -> None:
        request = handler.request
        if request.method == "GET" and request.headers.get("Accept", "").startswith("text/html"):
            absences.request()
        log(handler, *arguments, **options)

    return notice


def _losing(absences: Absences, connection_class: Any) -> Any:
    """The server's class of a page's connection, which notices when the server gives one up."""

    class Connection(connection_class):  # type: ignore[misc]  # the base class is a value
        def disconnect(self) -> None:
            handler = self.websocket_handler
            silence_ms = 1000 * (asyncio.get_running_loop().time() - handler.last_pong)
            if handler.ping_interval and silence_ms > handler.ping_timeout:
                absences.lose(self.kernel_id)
            super().disconnect()

    return Connection
