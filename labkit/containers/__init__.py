"""Containers: their records, their life from create to remove, and the clients that watch them."""

from labkit.containers.engine import Engine
from labkit.containers.inside.logs import LogLine
from labkit.containers.life.watch import Watch
from labkit.containers.records.model import Container, ContainerConfig, HostConfig, State
from labkit.signals import parse_signal

__all__ = [
    "Container",
    "ContainerConfig",
    "Engine",
    "HostConfig",
    "LogLine",
    "State",
    "Watch",
    "parse_signal",
]
