"""200 containers by 8 clients at once, while daemon, spawner and shims are killed at random.

Afterwards every container is in a true state, no log and no exit code is lost, and nothing is left
that no container owns (the lab's own end looks for that as well).
"""

import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root

CONTAINERS = int(os.environ.get("LABKIT_STRESS_CONTAINERS", "200"))
CLIENTS = 8
CLIENT_TIMEOUT_S = 60.0
SHIM_GONE = "shim was killed"
SHIM_GONE_EARLY = "shim ended before the container was started"


class Client(threading.Thread):
    """Takes containers through their lives; what it was told is in `done`."""

    def __init__(self, lab: Lab, numbers: list[int]) -> None:
        super().__init__(daemon=True)
        self.lab = lab
        self.numbers = numbers
        self.removed: list[int] = []
        self.shims_lost = 0
        self.errors: list[str] = []

    def run(self) -> None:
        for number in self.numbers:
            try:
                self.live(number)
            except Exception as error:
                self.errors.append(f"s{number}: {type(error).__name__}: {error}")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """A request, again and again while the daemon is away in the middle of it."""
        deadline = time.monotonic() + CLIENT_TIMEOUT_S
        while True:
            try:
                return self.lab.api(method, path, body)
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, f"no answer to {method} {path}"
                time.sleep(0.02)

    def live(self, number: int) -> None:
        name = f"s{number}"
        body = {"Image": "busybox", "Cmd": command(number), "HostConfig": {"NetworkMode": "none"}}
        status, answer = self.ask("POST", f"/containers/create?name={name}", body)
        # 409: an answer was lost with the daemon, and the container had been created.
        assert status in (201, 409), answer
        if number % 10 == 9:
            return  # stays as it was created
        self.start_it(name)
        if number % 4 == 1:
            status, answer = self.ask("POST", f"/containers/{name}/stop?t=1")
            assert status in (204, 304), answer
        elif number % 4 == 2:
            status, answer = self.ask("POST", f"/containers/{name}/kill")
            assert status in (204, 409), answer
        if number % 4 != 3:
            status, answer = self.ask("POST", f"/containers/{name}/wait")
            assert status == 200, answer
        if number % 5 == 0:
            status, answer = self.ask("DELETE", f"/containers/{name}?force=1")
            assert status in (204, 404), answer
            self.removed.append(number)

    def start_it(self, name: str) -> None:
        """Starts it, and again if its shim was killed before it had begun."""
        while True:
            status, answer = self.ask("POST", f"/containers/{name}/start")
            if status != 500 or SHIM_GONE_EARLY not in str(answer):
                break
            self.shims_lost += 1
        assert status in (204, 304), answer


def command(number: int) -> list[str]:
    """Most end by themselves with a code of their own; those to be stopped or left do not."""
    says = f"echo token-{number}"
    if number % 4 == 0:
        return ["sh", "-c", f"{says}; exit {number % 100}"]
    return ["sh", "-c", f"trap 'exit 77' TERM; {says}; while :; do sleep 0.1; done"]


class Killer(threading.Thread):
    """Kills a process of the lab's every now and then, and starts the daemon again."""

    def __init__(self, lab: Lab, seed: int) -> None:
        super().__init__(daemon=True)
        self.lab = lab
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.killed = {"daemon": 0, "spawner": 0, "shim": 0}
        self.errors: list[str] = []

    def run(self) -> None:
        try:
            while True:
                for kind in self.random.sample(["daemon", "daemon", "spawner", "shim", "shim"], 5):
                    if self.over.wait(self.random.uniform(0.1, 0.5)):
                        return
                    self.kill_one(kind)
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def kill_one(self, kind: str) -> None:
        if kind == "daemon":
            self.lab.kill_daemon()
            self.killed[kind] += 1
            self.lab.start_daemon()
            return
        pids = processes(self.lab, f"labkit-{kind}")
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
                self.killed[kind] += 1


def processes(lab: Lab, name: str) -> list[int]:
    """The lab's processes of this name: they complain where labkitd does."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            if not _is_named(folder, name) or not _complains_to(folder).startswith(lab.folder):
                continue
            # A container's first process has its shim's name until it runs its own program.
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if not _is_named(folder.parent / parent, name):
                found.append(int(folder.name))
    return found


def _complains_to(folder: Path) -> str:
    """The file that a process has as standard error."""
    return os.readlink(folder / "fd" / "2")


def _is_named(folder: Path, name: str) -> bool:
    return (folder / "comm").read_text().strip() == name


def alive(pid: int) -> bool:
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def check(lab: Lab, number: int, folder_names: set[str]) -> list[str]:
    """What is not true of a container that was not removed."""
    status, shown = lab.api("GET", f"/containers/s{number}/json")
    if status != 200:
        return [f"s{number} is lost: {shown}"]
    state = shown["State"]
    wrong = []

    def expect(holds: bool, what: str) -> None:
        if not holds:
            wrong.append(f"s{number}: {what}: {state}")

    log = lab.api("GET", f"/containers/s{number}/logs?stdout=1&stderr=1")[1]
    by_shim = SHIM_GONE in state["Error"]
    expect(shown["Id"] in folder_names, "has no folder")
    if number % 10 == 9:
        expect(state["Status"] == "created", "was never started")
        return wrong
    if state["Status"] == "running":
        expect(number % 4 == 3, "was to end")
        expect(alive(state["Pid"]), "runs, it is said")
        expect(f"token-{number}" in log, f"its log is {log!r}")
        return wrong
    expect(state["Status"] == "exited", "neither runs nor has it ended")
    if by_shim:
        expect(state["ExitCode"] == 137, "its shim was killed")
        return wrong
    codes = {0: [number % 100], 1: [77, 143, 137], 2: [137, 77], 3: []}[number % 4]
    expect(state["ExitCode"] in codes, f"its exit code is one of {codes}")
    if number % 4 == 0:
        expect(f"token-{number}" in log, f"its log is {log!r}")
    return wrong


@pytest.mark.timeout(900)
def test_many_clients_and_crashes_at_random(lab):
    """It takes half a minute; on a busy machine it may take as long as it needs."""
    seed = int(os.environ.get("LABKIT_STRESS_SEED", str(random.randrange(10_000))))
    clients = [Client(lab, list(range(n, CONTAINERS, CLIENTS))) for n in range(CLIENTS)]
    killer = Killer(lab, seed)
    for thread in (*clients, killer):
        thread.start()
    for client in clients:
        client.join(800)
    killer.over.set()
    killer.join(30)
    lab.start_daemon()
    errors = [error for thread in (*clients, killer) for error in thread.errors]
    assert not errors, f"seed {seed}, killed {killer.killed}:\n" + "\n".join(errors)
    assert all(killer.killed.values()), killer.killed
    # A start fails by a killed shim alone.
    assert sum(client.shims_lost for client in clients) <= killer.killed["shim"]
    removed = {number for client in clients for number in client.removed}
    listed = lab.api("GET", "/containers/json?all=1")[1]
    names = {container["Names"][0] for container in listed}
    assert names == {f"/s{number}" for number in range(CONTAINERS) if number not in removed}
    folders = set(os.listdir(f"{lab.root}/containers"))
    assert folders == {container["Id"] for container in listed}
    kept = [number for number in range(CONTAINERS) if number not in removed]
    wrong = [line for number in kept for line in check(lab, number, folders)]
    assert not wrong, f"seed {seed}, killed {killer.killed}:\n" + "\n".join(wrong)
    # The last shim may have been killed a moment ago: the daemon needs one to hear of it.
    wait_for(lambda: set(os.listdir(f"{lab.run}/containers")) == running(lab))
    wait_for(lambda: len(processes(lab, "labkit-shim")) == len(running(lab)))


def running(lab: Lab) -> set[str]:
    """The ids of the containers that run."""
    return {container["Id"] for container in lab.api("GET", "/containers/json")[1]}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
