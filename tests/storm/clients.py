"""A client of the storm: random operations, and what must be true after each answer."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.lab import Lab, ask

MOST_THINGS = 6
"""So many containers a client has at most."""
ALLOWED = (200, 201, 204, 304, 400, 403, 404, 409)
IN_THE_STORM = (
    "not found",
    "disk is full",
    "No space left",
    "shim",
    "spawner",
    "of the disk",
    "not running",
)
"""What an error 500 may be about when processes are killed and disks are full."""


class Weather:
    """What goes on around the clients, for all of them to see."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.killed: set[str] = set()
        """Containers whose shim was killed."""
        self.answers: Counter[str] = Counter()
        self.defects: list[str] = []
        self.done = 0
        self._lock = threading.Lock()

    def note(self, verb: str, outcome: object) -> None:
        """Count one operation."""
        with self._lock:
            self.done += 1
            self.answers[f"{verb} {outcome}"] += 1

    def complain(self, text: str) -> None:
        """Something that must not be."""
        with self._lock:
            self.defects.append(text)


class Thing:
    """A container as its client knows it."""

    def __init__(self, name: str, code: int, *, endless: bool, auto_remove: bool) -> None:
        self.name = name
        self.code = code
        self.endless = endless
        self.auto_remove = auto_remove
        self.id = ""
        self.must_be_there = False
        self.is_ended_by_us = False


class Client:
    """One of the clients; `run` in a thread of its own."""

    def __init__(self, lab: Lab, weather: Weather, number: int, seed: int) -> None:
        self.lab = lab
        self.weather = weather
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.things: list[Thing] = []
        self.volumes: set[str] = set()
        self.networks: set[str] = set()
        self.count = 0

    def run(self, operations: int) -> None:
        """Do so many operations."""
        verbs: list[tuple[int, Callable[[], None]]] = [
            *((12, self._create), (12, self._start), (6, self._stop), (6, self._kill)),
            *((10, self._remove), (4, self._pause), (4, self._unpause), (3, self._restart)),
            *((8, self._exec), (4, self._look), (2, self._commit), (3, self._rename)),
            *((3, self._volume), (2, self._network), (3, self._connect), (1, self._build)),
        ]
        weights, deeds = zip(*verbs, strict=True)
        for _ in range(operations):
            if self.weather.is_over.is_set():
                return
            try:
                self.random.choices(deeds, weights)[0]()
            except Exception as error:
                self.weather.complain(f"client {self.number}: {type(error).__name__}: {error}")

    def _ask(self, verb: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the answer; 0 if the daemon died over it."""
        while True:
            try:
                status, answer = ask(self.lab.socket, method, path, body, timeout_s=90)
            except TimeoutError:
                self.weather.complain(f"{verb}: no answer to {method} {path} in 90 s")
                status, answer = 0, None
            except (ConnectionRefusedError, FileNotFoundError):
                time.sleep(0.05)  # no daemon took it: it was no operation
                continue
            except (OSError, http.client.HTTPException):
                status, answer = 0, None
            break
        self.weather.note(verb, status)
        if status not in (0, *ALLOWED):
            text = str(answer)
            if status != 500 or not any(words in text for words in IN_THE_STORM):
                self.weather.complain(f"{verb}: {method} {path}: {status} {text[:300]}")
        return status, answer

    def _some(self) -> Thing | None:
        return self.random.choice(self.things) if self.things else None

    # Containers

    def _create(self) -> None:
        if len(self.things) >= MOST_THINGS:
            self._remove()
            return
        self.count += 1
        code = self.random.randrange(1, 100)
        endless, auto_remove = self.random.random() < 0.5, self.random.random() < 0.2
        name = f"c{self.number}-{self.count}"
        thing = Thing(name, code, endless=endless, auto_remove=auto_remove)
        always = endless and not auto_remove and self.random.random() < 0.2
        tail = "exec sleep 1000" if endless else f"exit {code}"
        host: dict[str, object] = {
            "NetworkMode": self.random.choice(["none", "none", "bridge"]),
            "AutoRemove": auto_remove,
            "RestartPolicy": {"Name": "always" if always else "no"},
        }
        if self.volumes and self.random.random() < 0.3:
            host["Binds"] = [f"{self.random.choice(sorted(self.volumes))}:/named"]
        body = {
            "Image": "busybox",
            "Cmd": ["sh", "-c", f"echo {thing.name}; {tail}"],
            "Volumes": {"/v": {}} if self.random.random() < 0.4 else {},
            "HostConfig": host,
            "StopTimeout": 1,
        }
        status, answer = self._ask("create", "POST", f"/containers/create?name={thing.name}", body)
        if status in (0, 201):
            thing.id = answer["Id"] if status == 201 else ""
            thing.must_be_there = status == 201
            self.things.append(thing)

    def _on(self, verb: str, method: str, path: str, body: object = None) -> tuple[int, Thing]:
        thing = self._some()
        if thing is None:
            self._create()
            thing = self._some() or Thing("none", 0, endless=False, auto_remove=False)
        status, answer = self._ask(verb, method, f"/containers/{thing.name}{path}", body)
        if status == 404 and thing.must_be_there:
            again, _ = self._ask("look again", "GET", f"/containers/{thing.id}/json")
            text = f"{method} {path}: {answer}; asked again: {again}"
            self.weather.complain(f"{verb}: {thing.name} {thing.id[:12]} is lost: {text}")
            thing.must_be_there = False
        return status, thing

    def _start(self) -> None:
        thing = self._some()
        if thing is not None and thing.auto_remove:
            thing.must_be_there = False  # its end may be at any moment from here on
        if thing is not None:
            self._ask("start", "POST", f"/containers/{thing.name}/start")

    def _ending(self, verb: str, path: str) -> None:
        thing = self._some()
        if thing is not None:
            thing.is_ended_by_us = True
            if thing.auto_remove:
                thing.must_be_there = False
            self._ask(verb, "POST", f"/containers/{thing.name}{path}")

    def _stop(self) -> None:
        self._ending("stop", "/stop?t=0")

    def _kill(self) -> None:
        self._ending("kill", "/kill")

    def _restart(self) -> None:
        self._ending("restart", "/restart?t=0")

    def _pause(self) -> None:
        self._on("pause", "POST", "/pause")

    def _unpause(self) -> None:
        self._on("unpause", "POST", "/unpause")

    def _look(self) -> None:
        paths = ("/json", "/top", "/stats?stream=0&one-shot=1", "/logs?stdout=1&tail=3", "/changes")
        self._on("look", "GET", self.random.choice(paths))

    def _exec(self) -> None:
        thing = self._some()
        if thing is None:
            return
        body = {"Cmd": ["true"], "AttachStdout": True}
        status, answer = self._ask("exec", "POST", f"/containers/{thing.name}/exec", body)
        if status == 201:
            self._ask("exec start", "POST", f"/exec/{answer['Id']}/start", {"Detach": True})

    def _rename(self) -> None:
        thing = self._some()
        if thing is None or not thing.id:
            return
        self.count += 1
        name = f"r{self.number}-{self.count}"
        status, _ = self._ask("rename", "POST", f"/containers/{thing.id}/rename?name={name}")
        # From here on it is called by what does not change.
        thing.name = thing.id if status in (0, 204) else thing.name

    def _remove(self) -> None:
        thing = self._some()
        if thing is None:
            return
        thing.must_be_there = False
        status, _ = self._ask("remove", "DELETE", f"/containers/{thing.name}?force=1&v=1")
        if status in (204, 404):
            self.things.remove(thing)

    def _commit(self) -> None:
        thing = self._some()
        if thing is None:
            return
        path = f"/commit?container={thing.name}&repo=s{self.number}&tag=1"
        status, answer = self._ask("commit", "POST", path, {})
        if status == 201:
            self._ask("rmi", "DELETE", f"/images/{answer['Id']}?force=1")

    # Volumes, networks, builds

    def _volume(self) -> None:
        if len(self.volumes) < 2:
            self.count += 1
            name = f"v{self.number}-{self.count}"
            if self._ask("volume create", "POST", "/volumes/create", {"Name": name})[0] == 201:
                self.volumes.add(name)
            return
        name = self.random.choice(sorted(self.volumes))
        status, _ = self._ask("volume rm", "DELETE", f"/volumes/{name}")
        if status in (0, 204, 404):
            self.volumes.discard(name)

    def _network(self) -> None:
        if not self.networks:
            self.count += 1
            name = f"n{self.number}-{self.count}"
            body = {"Name": name}
            if self._ask("network create", "POST", "/networks/create", body)[0] == 201:
                self.networks.add(name)
            return
        name = next(iter(self.networks))
        status, _ = self._ask("network rm", "DELETE", f"/networks/{name}")
        if status in (0, 204, 404):
            self.networks.discard(name)

    def _connect(self) -> None:
        thing = self._some()
        if thing is None or not self.networks:
            return
        verb = self.random.choice(["connect", "disconnect"])
        path = f"/networks/{next(iter(self.networks))}/{verb}"
        status, answer = 0, None
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = ask(self.lab.socket, "POST", path, {"Container": thing.name}, 90)
        self.weather.note(verb, status)
        if status == 500 and not any(words in str(answer) for words in IN_THE_STORM):
            self.weather.complain(f"{verb}: {answer}")

    def _build(self) -> None:
        command = f"test -s /run/secrets/s && echo {self.number}"
        text = f"FROM busybox\nRUN --mount=type=secret,id=s {command}\n"
        secret = f"id=s,src={self.lab.folder}/secret"
        done = self.lab.cli(
            *("build", "--no-cache", "-t", f"b{self.number}", "--secret", secret, "-"),
            input=text,
            timeout=120,
        )
        self.weather.note("build", done.returncode)
        if "Traceback" in done.stderr:
            self.weather.complain(f"build: {done.stderr[-300:]}")
