"""The machine of the measurements."""

import os
import sys

import labkit
from bench.peer import MissingPeerError, command
from bench.rooms import Room
from bench.systems import newest

BUSY_LOAD = 0.33
PROGRAMS = ("crun", "runc", "docker", "dockerd", "podman")


def description() -> list[tuple[str, str]]:
    """Return the machine's facts, line by line: a name and a value."""
    return [
        ("processor", f"{_value('/proc/cpuinfo', 'model name')}, {os.cpu_count()} CPUs"),
        ("memory", f"{int(_value('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.1f} GiB"),
        ("kernel", os.uname().release),
        ("system", _value("/etc/os-release", "PRETTY_NAME", "=").strip('"')),
        ("cgroups", _cgroups()),
        ("load before", f"{os.getloadavg()[0]:.2f}"),
        ("labkit", f"{labkit.__version__}, Python {sys.version.split()[0]}"),
        ("system of the peers", newest().release),
        *_versions(),
    ]


def is_busy() -> bool:
    """Whether other programs use more than a third of a CPU; asked before all measurements."""
    return os.getloadavg()[0] > BUSY_LOAD


def _value(path: str, key: str, separator: str = ":") -> str:
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(separator)
            if name.strip() == key:
                return value.strip()
    return "unknown"


def _cgroups() -> str:
    with open("/proc/self/mountinfo") as file:
        kinds = {line.rpartition(" - ")[2].split()[0] for line in file}
    versions = [name for kind, name in (("cgroup", "v1"), ("cgroup2", "v2")) if kind in kinds]
    return " and ".join(versions) or "none"


def _versions() -> list[tuple[str, str]]:
    room = Room(newest())
    try:
        room.open()
        return [(name, _version(room, name)) for name in PROGRAMS]
    except MissingPeerError as error:
        return [(name, str(error)) for name in PROGRAMS]
    finally:
        room.close()


def _version(room: Room, program: str) -> str:
    try:
        return room.do(command, [program, "--version"]).splitlines()[0]
    except MissingPeerError as error:
        return str(error)
