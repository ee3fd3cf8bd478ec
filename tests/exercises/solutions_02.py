"""Ways through the exercises of chapter 2: client, daemon, registry."""

import os
import signal
import socket
import subprocess
import sys

from labkit.course.exercises import processes
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

SLEEP = "busybox sleep 1000"


def by_http(bench: Bench) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": {bench.v.label: bench.v.value}}
    status, _ = bench.lab.api("POST", f"/containers/create?name={bench.v.name}", body)
    assert status == 201
    assert bench.lab.api("POST", f"/containers/{bench.v.name}/start")[0] == 204


def created_only(bench: Bench) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": {bench.v.label: bench.v.value}}
    bench.lab.api("POST", f"/containers/create?name={bench.v.name}", body)


def send(number: signal.Signals, *, parent: bool) -> Way:
    def way(bench: Bench) -> None:
        seen = bench.place.container(bench.v.name)
        assert seen is not None
        pid = int(processes.status(seen.pid)["PPid"]) if parent else seen.pid
        os.kill(pid, number)

    return way


def new_daemon(*commands: str) -> Way:
    def way(bench: Bench) -> None:
        bench.lab.kill_daemon()
        bench.lab.start_daemon()
        for command in commands:
            bench.docker(command)

    return way


def other_socket(bench: Bench) -> None:
    path = bench.place.path("other.sock")
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(path)
    bench.docker(f"run -d --name {bench.v.name} -v {path}:{bench.v.door} {SLEEP}")
    os.unlink(path)


def door(bench: Bench) -> None:
    bench.docker(f"run -d --name {bench.v.name} -v {bench.lab.socket}:{bench.v.door} {SLEEP}")


PUSH = ("tag {image} {reference}", "push {reference}")
RUN = "run -d --name {name} {reference} sleep 1000"


def trip(*commands: str) -> Way:
    """Serve a registry in the learner's folder, and give these commands."""

    def way(bench: Bench) -> None:
        words = ["--listen", "127.0.0.1:0", "--root", bench.place.path(bench.v.store)]
        registry = subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", "registry", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bench.lab.env,
        )
        bench.lab_processes.append(registry)
        assert registry.stdout is not None
        place = registry.stdout.readline().decode().partition("://")[2].partition(",")[0]
        registry.stdout.close()
        for command in commands:
            bench.docker(command.replace("{reference}", f"{place}/{bench.v.image}"))

    return way


ATTEMPTS = {
    "02.1": Attempts(
        by_http,
        {
            "split at the first sign": Wrong(
                docker(f"run -d --name {{name}} --label {{label}}={{value}} {SLEEP}"),
                1,
                "what the command's syntax cannot",
            ),
            "no label": Wrong(docker(f"run -d --name {{name}} {SLEEP}"), 1, "no such label"),
            "never started": Wrong(created_only, 0, "created; asked for: running"),
        },
    ),
    "02.2": Attempts(
        send(signal.SIGSTOP, parent=True),
        {
            "the child": Wrong(send(signal.SIGSTOP, parent=False), 0, "a small process"),
            "by the engine": Wrong(docker("pause {name}"), 0, "the parent of process 1"),
            "ended": Wrong(docker("kill {name}"), 0, "the container has ended"),
            "both": Wrong(
                lambda bench: [
                    send(signal.SIGSTOP, parent=each)(bench) for each in (False, True)
                ].clear(),
                4,
                "its children go on",
            ),
        },
    ),
    "02.4": Attempts(
        new_daemon(),
        {
            "the container started again": Wrong(docker("restart -t 0 {name}"), 0, "the engine"),
            "both started again": Wrong(new_daemon("restart -t 0 {name}"), 3, "not a child of"),
            "only the container ended": Wrong(docker("kill {name}"), 0, "the same process; asked"),
        },
    ),
    "02.3": Attempts(
        door,
        {
            "another socket": Wrong(other_socket, 1, "another socket; asked for"),
            "no mount": Wrong(docker(f"run -d --name {{name}} {SLEEP}"), 1, "no such file"),
            "a folder": Wrong(
                docker(f"run -d --name {{name}} -v {{name}}:{{door}} {SLEEP}"), 1, "not a socket"
            ),
        },
    ),
    "02.5": Attempts(
        trip(*PUSH, "rmi {image} {reference}", RUN),
        {
            "nothing was removed": Wrong(trip(*PUSH, RUN), 3, "the names that the image has here"),
            "never sent": Wrong(trip(*PUSH[:1], RUN), 0, "no such repository"),
            "run as it was": Wrong(
                trip(*PUSH, "run -d --name {name} {image} sleep 1000"), 3, "the names"
            ),
            "not run": Wrong(trip(*PUSH, "rmi {image}"), 5, "no container"),
        },
    ),
}
