"""A dockerd in its own folder and its own room.

It sets up no network by default.  With one it makes a bridge and rules of the firewall in the
network namespace it is started in, and never undoes them.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence

from bench.peer import MissingPeerError, command
from bench.rooms import Room
from bench.systems import System

START_TIMEOUT_S = 60.0
HELLO_INTERVAL_S = 0.1


class Dockerd:
    """A system's dockerd, with the containerd that it starts, in `folder`.

    `host` is the value for DOCKER_HOST; its containers' cgroups are below `cgroup_parent`;
    `flags` are more of dockerd's.
    """

    def __init__(
        self,
        system: System,
        folder: str,
        cgroup_parent: str,
        *,
        has_networks: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        self.room = Room(system)
        self.folder = folder
        self.cgroup_parent = cgroup_parent
        self.has_networks = has_networks
        self.flags = flags
        self.host = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until it answers; `MissingPeerError`."""
        program = self.room.system.find("dockerd")
        if program is None:
            raise MissingPeerError("dockerd is not installed: apt-get install docker.io")
        self.room.open()
        path = f"{self.folder}/dockerd.log"
        argv = self._argv(program)
        with open(path, "wb") as log:
            self.process = self.room.spawn(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MissingPeerError(f"dockerd does not start: {last_line(path)}")
            time.sleep(HELLO_INTERVAL_S)

    def stop(self) -> None:
        """End it, and with it containerd and the containers; their cgroups stay."""
        self.room.close()
        self.process = None

    def _argv(self, program: str) -> list[str]:
        folder = self.folder
        configuration = f"{folder}/daemon.json"
        with open(configuration, "w") as file:
            file.write("{}\n")
        argv = [program, "--host", self.host, "--pidfile", f"{folder}/docker.pid"]
        argv += ["--data-root", f"{folder}/root", "--exec-root", f"{folder}/exec"]
        if not self.has_networks:
            argv += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        argv += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
        argv += ["--cgroup-parent", self.cgroup_parent, "--config-file", configuration]
        return [*argv, *self.flags]

    def _answers(self) -> bool:
        try:
            self.room.do(command, ["docker", "--host", self.host, "version"])
        except MissingPeerError:
            return False
        return True


def last_line(path: str) -> str:
    """Return the last line of a daemon's log, which shows why it ended."""
    with open(path, errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "its log is empty"
