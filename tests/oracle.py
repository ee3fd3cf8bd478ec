"""The oracle: a real dockerd, to compare with; the newest that this machine can run.

It has its own data, socket and cgroups in a temporary folder, no network but `none` and `host`, and
labkit's busybox image with the same id.  The fixture `oracle` gives one for a run.

    def test_it(oracle):
        assert oracle.docker("run", "--rm", "--network", "none", "busybox", "echo", "hi").stdout
"""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import msgspec

from bench.dockerd import Dockerd
from bench.peer import MissingPeerError
from bench.systems import System, newest
from labkit.images import ImageStore
from tests import leaks
from tests.lab import template_root
from tests.peers.clients import client_environment
from tests.sweep import sweep

TIMEOUT_S = 60.0


class Oracle:
    """A running dockerd: `docker_host` is its DOCKER_HOST, `env` the environment for a client."""

    def __init__(self, system: System) -> None:
        self.folder = leaks.new_folder()
        self._parent = "labkit-" + os.path.basename(self.folder)
        self._dockerd = Dockerd(system, self.folder, f"/{self._parent}")
        self.program = system.seen("/usr/bin/docker")
        """Its system's docker command.

        It needs only the C library, in a version that every system of the lab has, so it runs here.
        """
        self.docker_host = self._dockerd.host
        self.socket = self.docker_host.removeprefix("unix://")
        self.env = client_environment(system, self.socket, f"{self.folder}/client")

    def start(self) -> None:
        """Start it and load the image; `MissingPeerError` if no dockerd runs here."""
        self._dockerd.start(self.env)
        loaded = self.docker("load", input=image_archive())
        assert loaded.returncode == 0, loaded.stderr

    def docker(self, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run `docker WORDS` against it, with bytes as input and output."""
        given = {"stdin": subprocess.DEVNULL} if "input" not in options else {}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [self.program, *words],
            env=self.env,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            **given | options,
        )

    def version(self) -> str:
        """dockerd's own version."""
        return self.docker("version", "-f", "{{.Server.Version}}").stdout.decode().strip()

    def close(self) -> None:
        """End it and its containers, and remove all it left."""
        self._dockerd.stop()
        sweep(self.folder, self._parent, "")


@contextmanager
def running_oracle(system: System | None = None) -> Iterator[Oracle]:
    """An oracle during the block; `MissingPeerError` if none runs here.

    It is of this system, by default of the one with the newest peers.
    """
    oracle = Oracle(system or newest())
    try:
        oracle.start()
        yield oracle
    finally:
        oracle.close()


@cache
def works() -> bool:
    """Whether a dockerd is installed and runs on this kernel."""
    try:
        with running_oracle():
            return True
    except MissingPeerError:
        return False


def image_archive() -> bytes:
    """Return labkit's busybox image as an archive for `docker load`."""
    root = template_root()
    image = ImageStore(root).resolve("busybox")
    blobs = {each.digest: f"{index}.tar.gz" for index, each in enumerate(image.layers)}
    config = f"{image.id.removeprefix('sha256:')}.json"
    manifest = [{"Config": config, "RepoTags": image.tags, "Layers": list(blobs.values())}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for digest, name in {image.id: config, **blobs}.items():
            archive.add(f"{root}/images/blobs/{digest.replace(':', '/')}", name)
        text = msgspec.json.encode(manifest)
        member = tarfile.TarInfo("manifest.json")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return buffer.getvalue()
