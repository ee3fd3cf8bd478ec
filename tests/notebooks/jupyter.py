"""A JupyterLab of a test's own, and a page of it in a browser."""

import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.notebooks.browser import Browser, free_port, wait_for

START_TIMEOUT_S = 90


@contextmanager
def jupyterlab(root: Path, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """JupyterLab over the notebooks in `root`: its address, with the token to come in by."""
    _want_no_news(environment["JUPYTER_CONFIG_DIR"])
    port, token = free_port(), secrets.token_hex(8)
    with (folder / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                f"--IdentityProvider.token={token}",
                f"--ServerApp.root_dir={root}",
                "--ServerApp.jpserver_extensions=labkit.course.page.closing=True",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            env=environment | {"JUPYTER_PREFER_ENV_PATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=root,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(f"{address}/api?token={token}"), "JupyterLab", START_TIMEOUT_S)
        yield f"{address}/lab/tree/PATH?token={token}&reset"
    finally:
        server.terminate()
        server.wait(30)


def _want_no_news(config: str) -> None:
    """Answer JupyterLab's first question beforehand, so that it does not lie over the page."""
    plugin = Path(config, "lab/user-settings/@jupyterlab/apputils-extension")
    plugin.mkdir(parents=True)
    (plugin / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError:
        raise
    except OSError:
        return False


class NotebookPage:
    """A notebook that is open in the browser."""

    def __init__(self, page: Browser, address: str, path: str) -> None:
        self.page = page
        page.open(address.replace("PATH", path))
        page.wait("return !!window.jupyterapp", timeout_s=90)
        page.run("await window.jupyterapp.restored")
        page.wait(
            """const panel = window.jupyterapp.shell.currentWidget;
            return !!panel && !!panel.sessionContext
              && panel.sessionContext.session?.kernel?.status === 'idle'""",
            timeout_s=90,
        )

    def run_all(self, timeout_s: float) -> None:
        """Run every cell, as the menu does, and wait for the last; a failed one is an error."""
        self.page.run("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self._settle(timeout_s)

    def run_cell(self, cell_id: str, timeout_s: float = 60) -> None:
        """Run one cell and wait for its end."""
        self.page.run(
            """const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.findIndex(
              cell => cell.model.id === arguments[0]);
            window.jupyterapp.commands.execute('notebook:run-cell');""",
            cell_id,
        )
        self._settle(timeout_s)

    def _settle(self, timeout_s: float) -> None:
        self.page.wait(
            """const panel = window.jupyterapp.shell.currentWidget;
            return !panel.content.widgets.some(
              cell => cell.model.executionState === 'running' || cell.promptNode?.textContent
                .includes('[*]'))
              && panel.sessionContext.session.kernel.status === 'idle'""",
            timeout_s=timeout_s,
        )
        assert not self.errors(), self.errors()

    def errors(self) -> list[str]:
        """The names of the errors that stand below cells."""
        return list(
            self.page.run(
                """return window.jupyterapp.shell.currentWidget.content.widgets
                .filter(cell => cell.model.type === 'code')
                .flatMap(cell => cell.model.sharedModel.getOutputs())
                .filter(output => output.output_type === 'error')
                .map(output => output.ename + ': ' + output.evalue)"""
            )
        )

    def execution_counts(self) -> dict[str, Any]:
        """Cell id → execution count, of the code cells."""
        return dict(
            self.page.run(
                """return Object.fromEntries(
                window.jupyterapp.shell.currentWidget.content.widgets
                .filter(cell => cell.model.type === 'code')
                .map(cell => [cell.model.id, cell.model.executionCount]))"""
            )
        )

    def show(self, cell_id: str) -> None:
        """Scroll to a cell, so that it is on the screen and drawn."""
        self.page.run(
            """const notebook = window.jupyterapp.shell.currentWidget.content;
            const index = notebook.widgets.findIndex(cell => cell.model.id === arguments[0]);
            await notebook.scrollToItem(index, 'start');""",
            cell_id,
        )

    def close(self) -> None:
        """End the notebook's kernel, as closing the page for good does."""
        self.page.run("return window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def clean_environment(base: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment for Jupyter: its files in `folder` and nothing of whoever runs the test."""
    kept = {name: value for name, value in base.items() if not name.startswith("JUPYTER")}
    return kept | {
        "HOME": str(folder),
        "XDG_STATE_HOME": f"{folder}/state",
        "IPYTHONDIR": f"{folder}/ipython",
        "JUPYTER_CONFIG_DIR": f"{folder}/config",
        "JUPYTER_DATA_DIR": f"{folder}/data",
        "JUPYTER_RUNTIME_DIR": f"{folder}/runtime",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), base.get("PATH", "")]),
    }
