"""dockerd and labkit with networks, each in the network namespace of the calling process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.dockerd import Dockerd
from bench.systems import newest
from tests import leaks
from tests.lab import Lab
from tests.sweep import sweep


@contextmanager
def running(engine: str, mirror: str) -> Iterator[str]:
    """Yield the value of DOCKER_HOST of an engine that pulls from a mirror."""
    with ENGINES[engine](f"http://{mirror}") as host:
        yield host


@contextmanager
def _dockerd(mirror: str) -> Iterator[str]:
    folder = leaks.new_folder()
    parent = "labkit-" + os.path.basename(folder)
    flags = ("--registry-mirror", mirror)
    dockerd = Dockerd(newest(), folder, f"/{parent}", has_networks=True, flags=flags)
    try:
        dockerd.start(os.environ)
        yield dockerd.host
    finally:
        dockerd.stop()
        sweep(folder, parent, "")


@contextmanager
def _labkit(mirror: str) -> Iterator[str]:
    lab = Lab()
    try:
        lab.start_daemon("--registry-mirror", mirror)
        yield f"unix://{lab.socket}"
    finally:
        lab.close()


ENGINES = {"dockerd": _dockerd, "labkit": _labkit}
