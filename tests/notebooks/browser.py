"""A real browser for tests: headless Chromium, driven over WebDriver's plain HTTP.

The few commands needed here are one POST each (W3C WebDriver), so there is no client library.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1280,1000",
)
START_TIMEOUT_S = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key WebDriver gives an element's id under."""


def is_installed() -> bool:
    """Whether there is a Chromium and its driver."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to a page."""
        self._post("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that `script`, the body of a function in the page, returns.

        A promise is waited for.
        """
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, *arguments: Any, timeout_s: float = 60) -> Any:
        """The first value of `script` that counts as true; AssertionError if there is none."""
        return wait_for(lambda: self.run(script, *arguments), script, timeout_s)

    def element(self, selector: str) -> str:
        """The id of the first element a CSS selector finds."""
        found = self._post("element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        """Click an element as a mouse does."""
        self._post(f"element/{self.element(selector)}/click", {})

    def drag(self, selector: str, right_px: int) -> None:
        """Press the mouse on an element, move it to the right (or left), and let go."""
        origin = {ELEMENT: self.element(selector)}
        moves = [
            {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 300, "x": right_px, "y": 0, "origin": "pointer"},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        self._post("actions", {"actions": [mouse | {"actions": moves}]})

    def press(self, key: str) -> None:
        """Press a key; WebDriver has codes for those without a letter (Tab is U+E004)."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": keys}
        self._post("actions", {"actions": [keyboard]})

    def resize(self, width: int, height: int) -> None:
        """Give the page this many pixels, without what the browser keeps for itself."""
        self._post("window/rect", {"width": width, "height": height})
        inner = self.run("return [innerWidth, innerHeight]")
        outer = {"width": 2 * width - inner[0], "height": 2 * height - inner[1]}
        self._post("window/rect", outer)

    def close_tab(self) -> None:
        """Close the tab, as its cross does, without a question; another, empty one is there."""
        handle = self._post("window/new", {"type": "tab"})["handle"]
        _request("DELETE", f"{self._session}/window")
        self._post("window", {"handle": handle})

    def screenshot(self, path: Path) -> None:
        """The window as PNG."""
        path.write_bytes(base64.b64decode(self._get("screenshot")))

    def close(self) -> None:
        """End the browser."""
        _request("DELETE", self._session)

    def _post(self, command: str, body: object) -> Any:
        return _request("POST", f"{self._session}/{command}", body)

    def _get(self, command: str) -> Any:
        return _request("GET", f"{self._session}/{command}")


def wait_for(look: Callable[[], Any], what: str, timeout_s: float) -> Any:
    """The first value of `look()` that counts as true; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.2)


@contextmanager
def browser(folder: Path, environment: dict[str, str]) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`; it and its driver end with the block."""
    port = free_port()
    with (folder / "chromedriver.log").open("wb") as log:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _is_ready(base), "chromedriver answers", START_TIMEOUT_S)
        profile = f"--user-data-dir={folder / 'profile'}"
        options = {"goog:chromeOptions": {"args": [*ARGUMENTS, profile]}}
        answer = _request("POST", f"{base}/session", {"capabilities": {"alwaysMatch": options}})
        page = Browser(f"{base}/session/{answer['sessionId']}")
        try:
            yield page
        finally:
            page.close()
    finally:
        driver.terminate()
        driver.wait()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(base: str) -> bool:
    try:
        return bool(_request("GET", f"{base}/status")["ready"])
    except urllib.error.URLError:
        return False


def _request(method: str, url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        answer = json.load(error)["value"]
        raise AssertionError(f"WebDriver {answer['error']}: {answer['message']}") from None
