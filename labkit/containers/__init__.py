"""Containers: their records, their life from create to remove, and who watches them."""

from labkit.containers.engine import Engine
from labkit.containers.logs import LogLine
from labkit.containers.model import Container, ContainerConfig, HostConfig, State
from labkit.containers.watch import Watch
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
