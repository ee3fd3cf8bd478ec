"""After the storm: what was lost, and what was left behind."""

import glob
import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import Lab
from tests.storm.clients import Client, Weather

PATIENCE_S = 20.0


def lost(lab: Lab, clients: list[Client], weather: Weather) -> list[str]:
    """Containers, volumes and networks that must be there and are not; wrong exit statuses."""
    found = []
    for client in clients:
        for thing in client.things:
            status, shown = lab.api("GET", f"/containers/{thing.name}/json")
            if status != 200:
                if thing.must_be_there:
                    found.append(f"container {thing.name}: {status}")
                continue
            assert isinstance(shown, dict)
            state = shown["State"]
            is_ended = state["Status"] == "exited" and not thing.is_ended_by_us
            # One that was killed, or whose start failed (125), has another.
            expected = {137, 143, 125} if thing.endless else {thing.code, 137, 125}
            if is_ended and state["ExitCode"] not in expected:
                found.append(f"exit code of {thing.name}: {state['ExitCode']}, not {expected}")
            if state["ExitCode"] == 137 and is_ended and shown["Id"] not in weather.killed:
                found.append(f"{thing.name} was killed by no one: {state['Error']}")
            if state["Status"] == "running" and not Path(f"/proc/{state['Pid']}").exists():
                found.append(f"{thing.name} is said to run as {state['Pid']}")
        for kind, names in (("volumes", client.volumes), ("networks", client.networks)):
            for name in names:
                if lab.api("GET", f"/{kind}/{name}")[0] != 200:
                    found.append(f"{kind} {name}")
    return found


def left(lab: Lab, clients: list[Client]) -> list[str]:
    """What is there when every container is gone, and must not be."""
    lab.remove_containers()
    for client in clients:
        for name in client.volumes:
            lab.api("DELETE", f"/volumes/{name}")
        for name in client.networks:
            lab.api("DELETE", f"/networks/{name}")
    looks: dict[str, Callable[[], list[str]]] = {
        "volume": lambda: [
            str(volume["Name"])
            for volume in lab.api("GET", "/volumes")[1]["Volumes"]  # type: ignore[call-overload,index]
            if len(volume["Name"]) == 64
        ],
        "container": lambda: os.listdir(f"{lab.root}/containers"),
        "run folder": lambda: os.listdir(f"{lab.run}/containers"),
        "unfinished work": lambda: os.listdir(f"{lab.root}/staging"),
        "room of a build": lambda: _listed(f"{lab.root}/build/rooms"),
        "removed folder": lambda: os.listdir(f"{lab.root}/removed"),
        "set aside": lambda: _listed(f"{lab.root}/set-aside"),
        "temporary file": lambda: glob.glob(f"{lab.root}/**/*.tmp", recursive=True),
        "secret": lambda: (
            glob.glob(f"/dev/shm/{lab.cgroup_parent}-secret-*") + glob.glob(f"{lab.run}/secret-*")
        ),
        "group": lambda: glob.glob(f"/sys/fs/cgroup/**/{lab.cgroup_parent}/*/", recursive=True),
        "cable": lambda: [
            name for name in os.listdir("/sys/class/net") if name.startswith(f"{lab.link_prefix}v")
        ],
    }
    deadline = time.monotonic() + PATIENCE_S
    found: list[str] = []
    while True:
        found = [f"{kind} {name}" for kind, look in looks.items() for name in look()]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
