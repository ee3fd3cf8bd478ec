"""docker, podman and labkit by their commands: `run --rm --network none busybox true`.

Each has its own data root and daemon, so the machine's own containers are not touched.  docker and
podman are those of the newest system here, and run in a room of that system.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from bench import memory
from bench.dockerd import Dockerd, last_line
from bench.peer import MissingPeerError, command, end, spawn_and_wait
from bench.rooms import Room
from bench.systems import newest
from labkit.client.daemon import daemon_command
from labkit.paths import Paths

IMAGE = "labkit-bench:latest"
CGROUP_PARENT = "labkit-bench"
# Without CAP_SYS_RESOURCE the default limits cannot be set; and there may be no systemd.
PODMAN_CONF = """\
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""

Result = TypeVar("Result")


class Engine:
    """The common part of all engines: the command's words."""

    program = ""
    daemon_name = ""
    helper_names: tuple[str, ...] = ()
    builds = True
    """Whether its builds are measured."""

    def __init__(self, tar: str, cgroup_parent: str = CGROUP_PARENT) -> None:
        self.name = f"{self.program} run"
        self._tar = tar
        self._cgroup_parent = cgroup_parent
        self._prefix: list[str] = []
        self._environment = dict(os.environ)
        self._run: list[str] = []
        self._room: Room | None = None
        """The room of its containers; None for this machine itself."""
        self._daemon: subprocess.Popen[bytes] | None = None
        self.is_up = False
        """Whether it was set up, and has run a container."""
        self.socket = ""
        """The socket of its API."""

    def setup(self, folder: str) -> None:
        """Start the engine, import the root as an image, and run it once as a check."""
        self._prefix = [self._find(folder)]
        self._start(folder)
        self.cli("import", self._tar, IMAGE)
        self._run = [*self._prefix, "run", "--rm", "--network", "none", IMAGE, "true"]
        self._call(command, self._run, self._environment)
        self.is_up = True

    def prepare(self) -> None:
        """Do nothing."""

    def run_once(self) -> None:
        """Run the command, from its start to its end."""
        status = self._call(spawn_and_wait, self._run, self._environment)
        if status:
            raise MissingPeerError(f"{self.name} ended with status {status}")

    def clean_up(self) -> None:
        """Do nothing: the container is already removed."""

    def run_program(self, *words: str) -> None:
        """Run the engine's command to its end, without reading its output."""
        status = self._call(spawn_and_wait, [*self._prefix, *words], self._environment)
        if status:
            raise RuntimeError(f"{self.program} {' '.join(words)} ended with status {status}")

    def teardown(self) -> None:
        """End the daemon, and unmount what the engine left."""
        if self._room:
            self._room.close()
        elif self._daemon:
            end(self._daemon)
        self._daemon = None

    def cli(self, *words: str) -> str:
        """Run the engine's command; return its output."""
        return self._call(command, [*self._prefix, *words], self._environment)

    def copy_in(self, container: str, tar: str) -> None:
        """Unpack an archive into a container's root, by `cp`."""
        with open(tar, "rb") as archive:
            words = [*self._prefix, "cp", "-", f"{container}:/"]
            options = {"env": self._environment, "stdin": archive, "capture_output": True}
            self._call(subprocess.run, words, check=True, **options)

    def start_idle(self) -> str:
        """Start a container that sleeps; return its id."""
        return self.cli("run", "-d", "--network", "none", IMAGE, "sleep", "3600")

    def shim(self, container: str) -> tuple[str, memory.Memory]:
        """Return the name and the memory of the parent of a container's first process."""
        first = int(json.loads(self.cli("inspect", container))[0]["State"]["Pid"])
        pid = self._call(memory.parent, first)
        return self._call(memory.name, pid), self._call(memory.of, pid)

    def remove(self, container: str) -> None:
        """Kill and remove a container."""
        self.cli("rm", "-f", container)

    def daemons(self) -> dict[str, int]:
        """Return the processes that serve all containers together: their names and ids."""
        if self._daemon is None:
            return {}
        helpers = {memory.name(pid): pid for pid in memory.children(self._daemon.pid)}
        known = {name: pid for name, pid in helpers.items() if name in self.helper_names}
        return {self.daemon_name: self._daemon.pid, **known}

    def _find(self, folder: str) -> str:
        found = newest().find(self.program)
        if found is None:
            raise MissingPeerError(f"{self.program} is not installed")
        return found

    def _call(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Call a function in the engine's room: only there its process ids are valid."""
        if self._room:
            return self._room.do(function, *arguments, **options)
        return function(*arguments, **options)

    def _start(self, folder: str) -> None:
        raise NotImplementedError


class Docker(Engine):
    """The docker command and its own dockerd, without a network by default."""

    program = "docker"
    daemon_name = "dockerd"
    helper_names = ("containerd",)

    def __init__(
        self, tar: str, cgroup_parent: str = CGROUP_PARENT, *, has_networks: bool = False
    ) -> None:
        super().__init__(tar, cgroup_parent)
        self._has_networks = has_networks

    def _start(self, folder: str) -> None:
        parent = f"/{self._cgroup_parent}"
        dockerd = Dockerd(newest(), folder, parent, has_networks=self._has_networks)
        self._room = dockerd.room
        self.socket = dockerd.host.removeprefix("unix://")
        self._prefix += ["--host", dockerd.host, "--config", f"{folder}/client"]
        dockerd.start()
        self._daemon = dockerd.process


class Podman(Engine):
    """podman with its own storage.  It has no daemon: each command does all the work itself."""

    program = "podman"
    builds = False

    def _start(self, folder: str) -> None:
        self._room = Room(newest())
        self._room.open()
        configuration = _write(f"{folder}/containers.conf", PODMAN_CONF)
        self._environment["CONTAINERS_CONF"] = configuration
        self._prefix += ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        self._prefix += ["--tmpdir", f"{folder}/tmp", "--runtime-flag", f"root={folder}/crun"]


class Labkit(Engine):
    """The labkit command and its own labkitd."""

    program = "labkit"
    daemon_name = "labkitd"
    helper_names = ("labkit-spawner",)

    def __init__(self, tar: str, cgroup_parent: str = CGROUP_PARENT) -> None:
        super().__init__(tar, cgroup_parent)
        self.paths = Paths("", "")

    def _find(self, folder: str) -> str:
        # The command of `make lab`, but with this Python and source tree.
        script = f". {os.path.dirname(os.path.dirname(__file__))}/vagrant/common.sh && command_text"
        text = command(["bash", "-c", script], self._environment | {"LABKIT_VENV": sys.prefix})
        path = _write(f"{folder}/{self.program}", text)
        os.chmod(path, 0o755)
        return path

    def _start(self, folder: str) -> None:
        self.paths = Paths(f"{folder}/root", f"{folder}/run")
        self.socket = self.paths.socket
        self._environment["LABKIT_ROOT"] = self.paths.root
        self._environment["LABKIT_RUN"] = self.paths.run
        self._environment["LABKIT_CGROUP_PARENT"] = self._cgroup_parent
        ready, daemon_end = os.pipe()
        with open(f"{folder}/labkitd.log", "wb") as log:
            self._daemon = subprocess.Popen(
                [*daemon_command(self.paths), "--ready-fd", str(daemon_end)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[daemon_end],
            )
        os.close(daemon_end)
        with open(ready, "rb") as reader:
            if not reader.read():
                raise MissingPeerError(f"labkitd does not start: {last_line(log.name)}")

    def run_explained(self) -> list[dict[str, object]]:
        """Return the steps of one start, from `labkit run --explain=json`."""
        argv = [*self._prefix, "run", "--explain=json", "--network", "none", IMAGE, "true"]
        done = subprocess.run(argv, env=self._environment, capture_output=True, check=True)
        return list(json.loads(done.stderr))


def _write(path: str, text: str) -> str:
    with open(path, "w") as file:
        file.write(text)
    return path
