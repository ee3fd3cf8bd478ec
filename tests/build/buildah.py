"""buildah, the second builder that is asked: what it makes of a context, read as docker's is.

It is that of a system, and runs in a room of it.  Its image is brought into a lab's engine by
`load`, so that its files and its config are looked at by the same reader.  Everything of it lies
in one folder.
"""

import subprocess
from pathlib import Path

from bench.peer import MissingPeerError
from bench.rooms import Room
from bench.systems import System
from tests.build.cases import Answer, Builder
from tests.lab import Lab

TIMEOUT_S = 60.0
LABEL = "io.buildah.version"
"""Stands on whatever buildah builds."""
MOUNT_POINT = {"run": ["5", "0o755", 0, 0, "", {}]}
"""A folder that buildah leaves where an image has none, for what it mounts while RUN runs."""


class Buildah:
    """buildah with its own storage in `folder`, and a lab that reads what it has made.

    Raises `MissingPeerError` where there is none.
    """

    def __init__(self, lab: Lab, folder: Path, system: System) -> None:
        if system.find("buildah") is None:
            raise MissingPeerError("buildah is not installed")
        self._folder = folder
        self._room = Room(system)
        self._room.open()
        self._lab = lab
        self._reader = Builder(lab.socket)
        layout = f"oci:{lab.root}/images:busybox:latest"
        base = self._buildah("pull", "-q", "--policy", "always", layout).stdout.strip()
        self._buildah("tag", base, "localhost/busybox")

    def answer(self, context: Path) -> Answer:
        """What it makes of a context: files and config, or that it refused."""
        words = ["bud", "--isolation", "chroot", "--format", "docker", "--no-cache"]
        # Its defaults are more than root may have without CAP_SYS_RESOURCE.
        words += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        built = self._buildah(*words, "--pull-never", "-q", "-t", "made", str(context), check=False)
        if built.returncode:
            return {"fails": True}
        archive = self._folder / "made.tar"
        archive.unlink(missing_ok=True)
        self._buildah("push", "-q", "localhost/made", f"docker-archive:{archive}")
        with archive.open("rb") as file:  # the lab's user may not reach its folder
            loaded = self._lab.cli("load", "-q", stdin=file, check=True)
        image_id = loaded.stdout.split()[-1]
        found = self._reader.describe(image_id)
        self._lab.cli("rmi", "-f", image_id, check=True)
        self._buildah("rmi", "-f", "localhost/made")
        return without_traces(found)

    def close(self) -> None:
        """Remove its containers and images, and what of them is mounted."""
        self._buildah("rm", "-a", check=False)
        self._buildah("rmi", "-a", "-f", check=False)
        self._room.close()

    def version(self) -> str:
        """Its version, `1.39` for one."""
        return self._buildah("--version").stdout.split()[2].rpartition(".")[0]

    def _buildah(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        places = ["--root", f"{self._folder}/root", "--runroot", f"{self._folder}/run"]
        return self._room.do(
            subprocess.run,
            ["buildah", *places, "--storage-driver", "vfs", *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self._folder), "HOME": "/"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=TIMEOUT_S,
        )


def without_traces(answer: Answer) -> Answer:
    """An answer without what buildah puts into every image, whatever the Dockerfile says."""
    config, files = answer["config"], answer["files"]
    labels = {name: value for name, value in config.get("Labels", {}).items() if name != LABEL}
    kept = {name: value for name, value in config.items() if name != "Labels"}
    return answer | {
        "config": kept | ({"Labels": labels} if labels else {}),
        "files": {path: look for path, look in files.items() if MOUNT_POINT.get(path) != look},
    }
