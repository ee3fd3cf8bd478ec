"""What the storm does to the engines: kill -9 of everything, a full disk, a second engine."""

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

from tests import host_power
from tests.lab import Lab, ask
from tests.storm.clients import Weather

PAUSE_S = 1.5
FULL_S = 1.0
START_S = 120.0


class Storm(threading.Thread):
    """Ends when the weather is over, with everything alive again."""

    def __init__(self, lab: Lab, beside: Lab, weather: Weather, seed: int) -> None:
        super().__init__(name="storm")
        self.lab = lab
        self.beside = beside
        self.weather = weather
        self.random = random.Random(f"{seed} storm")
        self.strikes: dict[str, int] = {}
        self.failed_starts: list[str] = []
        self.in_full_disk = 0.0

    def run(self) -> None:
        """Strike now and then."""
        deeds = (
            *((4, self._kill_daemon), (3, self._kill_spawner), (4, self._kill_shim)),
            *((2, self._second_engine), (1, self._restart_daemon)),
            (2, self._kill_holder if host_power.IS_LEFT_OUT else self._fill_disk),
        )
        weights, strikes = zip(*deeds, strict=True)
        while not self.weather.is_over.wait(self.random.uniform(0.3, PAUSE_S)):
            strike = self.random.choices(strikes, weights)[0]
            name = strike.__name__.lstrip("_")
            self.strikes[name] = self.strikes.get(name, 0) + 1
            with contextlib.suppress(OSError):
                strike()
        self.empty()
        self._begin(self.lab)
        self._begin(self.beside)

    def _begin(self, lab: Lab) -> None:
        """Start a daemon, unless a client's command has: it must come up in time."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                lab.start_daemon()
            except AssertionError as error:
                text = str(error)
                is_another = "labkitd already runs" in text.rstrip().rpartition("\n")[2]
                if not is_another:
                    self.failed_starts.append(text[-1500:])
                if time.monotonic() > deadline:
                    self.failed_starts.append(f"none in {START_S} s: {text[-1500:]}")
                    return
            else:
                return

    def _kill_daemon(self) -> None:
        self.lab.kill_daemon()
        self._begin(self.lab)

    def _restart_daemon(self) -> None:
        self.lab.stop_daemon()
        self._begin(self.lab)

    def _kill_spawner(self) -> None:
        daemon = self.lab.daemon_pid()
        for pid in _children(daemon):
            if _name(pid) == "labkit-spawner":
                os.kill(pid, signal.SIGKILL)

    def _kill_shim(self) -> None:
        containers = ask(self.lab.socket, "GET", "/containers/json")[1]
        if not isinstance(containers, list) or not containers:
            return
        container_id = self.random.choice(containers)["Id"]
        shown = ask(self.lab.socket, "GET", f"/containers/{container_id}/json")[1]
        assert isinstance(shown, dict)
        pid = shown.get("State", {}).get("Pid")
        if not pid:
            return
        shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        if _name(shim) == "labkit-shim":
            self.weather.killed.add(container_id)
            os.kill(shim, signal.SIGKILL)

    def _kill_holder(self) -> None:
        """Kill the process that holds the namespaces of an engine without root; labkitd ends."""
        own = f"LABKIT_RUN={self.lab.run}\0".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_holder = _name(int(folder.name)) == "labkit-holder"
                if is_holder and own in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
        self._begin(self.lab)

    def _fill_disk(self) -> None:
        self.in_full_disk = time.time()
        with open(f"{self.lab.root}/filling", "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)
        if self.random.random() < 0.5:
            self._kill_daemon()
        time.sleep(FULL_S)
        self.empty()

    def empty(self) -> None:
        """Let there be room again."""
        Path(self.lab.root, "filling").unlink(missing_ok=True)

    def _second_engine(self) -> None:
        with contextlib.suppress(OSError):
            body = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
            made = ask(self.beside.socket, "POST", "/containers/create", body)[1]
            assert isinstance(made, dict)
            ask(self.beside.socket, "POST", f"/containers/{made['Id']}/start")
            for found in ask(self.beside.socket, "GET", "/containers/json")[1][3:]:  # type: ignore[index]
                ask(self.beside.socket, "DELETE", f"/containers/{found['Id']}?force=1")
        (self.beside.kill_daemon if self.random.random() < 0.5 else self.beside.stop_daemon)()
        self._begin(self.beside)


def _children(pid: int) -> list[int]:
    text = ""
    for task in Path(f"/proc/{pid}/task").iterdir():
        text += " " + (task / "children").read_text()
    return [int(word) for word in text.split()]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
