"""Other firewalls on a test's own host: Docker's, ufw, firewalld, and hand-written rules.

Each is the real program, in the network of a `tests.hosts.Host`.  ufw and firewalld have copies of
their configuration, bound over the real folders in their own mount namespace.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.dockerd import Dockerd
from bench.systems import newest
from labkit.kernel import namespaces
from tests import leaks
from tests.hosts import Host
from tests.oracle import image_archive
from tests.peers.clients import client_environment
from tests.sweep import sweep

START_TIMEOUT_S = 60.0


def wait_until(
    condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S
) -> None:
    """Wait for a condition; AssertionError after the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Docker:
    """The newest dockerd of this machine, which makes its network on the host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.folder = leaks.new_folder()
        self._parent = "labkit-" + os.path.basename(self.folder)
        self._system = newest()
        self.env = client_environment(
            self._system, f"{self.folder}/docker.sock", f"{self.folder}/client"
        )
        self._dockerd: Dockerd | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.folder}/docker.pid")  # in the new room another process has this pid
        dockerd = Dockerd(self._system, self.folder, f"/{self._parent}", has_networks=True)
        with open(f"/proc/{self._host.pid}/ns/net") as network:
            dockerd.room.do(namespaces.setns, network.fileno(), namespaces.CLONE_NEWNET)
        self._dockerd = dockerd
        dockerd.start(self.env)

    def _done(self, *words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [self._system.seen("/usr/bin/docker"), *words],
            env=self.env,
            capture_output=True,
            check=False,
            **more,
        )

    def run(self, *words: str) -> str:
        """Run `docker WORDS`; return its output."""
        done = self._done(*words, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def pid_of(self, name: str) -> int:
        """Return a container's first process by its pid here: dockerd counts in its own room."""
        in_room = self.run("inspect", "-f", "{{.State.Pid}}", name)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                if numbers[1:2] == [in_room] and self._parent in (entry / "cgroup").read_text():
                    return int(numbers[0])
        raise AssertionError(f"no process of the container {name} was found")

    def load_busybox(self) -> None:
        """Give it labkit's busybox image."""
        done = self._done("load", input=image_archive())
        assert done.returncode == 0, done.stderr.decode()

    def stop(self) -> None:
        """End it, and its containers with it; its rules stay."""
        if self._dockerd is None:
            return
        if self._dockerd.process is not None:
            self._dockerd.process.send_signal(signal.SIGTERM)
            self._dockerd.process.wait(START_TIMEOUT_S)
        self._dockerd.stop()
        self._dockerd = None

    def close(self) -> None:
        """End it, and remove all it left."""
        self.stop()
        sweep(self.folder, self._parent, "")


class _Configured:
    """A program with a copy of its configuration, on the host."""

    FOLDERS: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host = host
        self.folder = leaks.new_folder()
        for number, path in enumerate(self.FOLDERS):
            subprocess.run(["cp", "-a", path, f"{self.folder}/{number}"], check=True)

    def argv(self, *command: str) -> list[str]:
        """Return the command, with the host's network and the copies."""
        binds = [
            f"mount --bind {self.folder}/{number} {path}"
            for number, path in enumerate(self.FOLDERS)
        ]
        script = " && ".join(["mount --make-rprivate /", *binds, 'exec "$@"'])
        return [*self._host.enter(), "unshare", "-m", "sh", "-c", script, "sh", *command]

    def run(self, *command: str) -> str:
        """Run it; return its output."""
        done = subprocess.run(
            self.argv(*command),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return os.environ | self._host.env

    def close(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder)


class Ufw(_Configured):
    """ufw, with its rules in iptables."""

    FOLDERS = ("/etc/ufw", "/etc/default/ufw", "/lib/ufw", "/run")

    def __init__(self, host: Host) -> None:
        self._host = host
        self.folder = leaks.new_folder()
        for number, path in enumerate(self.FOLDERS[:-1]):
            subprocess.run(["cp", "-a", path, f"{self.folder}/{number}"], check=True)
        os.mkdir(f"{self.folder}/{len(self.FOLDERS) - 1}")

    def start(self) -> None:
        """`ufw enable`: no packet is let in, and none is forwarded."""
        self.run("ufw", "--force", "enable")

    def restart(self) -> None:
        """`ufw reload`."""
        self.run("ufw", "reload")

    def stop(self) -> None:
        """`ufw disable`."""
        self.run("ufw", "disable")


_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""


class Firewalld(_Configured):
    """firewalld, on its own bus."""

    FOLDERS = ("/etc/firewalld",)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        path = f"{self.folder}/bus"
        Path(self.folder, "bus.conf").write_text(_BUS.format(path=path))
        host.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={path}"
        self._bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork", "--nopidfile"]
        )
        wait_until(lambda: os.path.exists(path), "the bus does not start")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it has its rules."""
        with open(f"{self.folder}/log", "ab") as log:
            self._process = subprocess.Popen(
                self.argv("firewalld", "--nofork", "--nopid"),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        state = self.argv("firewall-cmd", "--state")
        wait_until(
            lambda: (
                subprocess.run(
                    state, env=self._environment(), capture_output=True, check=False
                ).returncode
                == 0
            ),
            "firewalld does not start",
        )

    def restart(self) -> None:
        """`firewall-cmd --reload`."""
        self.command("--reload")

    def command(self, *words: str) -> str:
        """Run `firewall-cmd WORDS`; return its output."""
        return self.run("firewall-cmd", *words)

    def stop(self) -> None:
        """End it: it removes its rules."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def close(self) -> None:
        """End it and its bus."""
        self.stop()
        self._bus.terminate()
        self._bus.wait(START_TIMEOUT_S)
        super().close()


class Rules:
    """Rules that an administrator loads: `start`, flushed by `stop`."""

    def __init__(self, host: Host, load: list[list[str]], unload: list[list[str]]) -> None:
        self._host, self._load, self._unload = host, load, unload

    def start(self) -> None:
        """Load them."""
        for command in self._load:
            self._host.run(*command)

    def restart(self) -> None:
        """Load them again, as their service does at a restart."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Remove them."""
        for command in self._unload:
            self._host.run(*command)

    def close(self) -> None:
        """Do nothing: they vanish with the host."""


def iptables(
    host: Host,
    kind: str,
    *rules: str,
    undo: tuple[str, ...] = ("-F", "-X", "-P FORWARD ACCEPT"),
) -> Rules:
    """Rules of iptables, for both versions of IP."""
    programs = [f"iptables-{kind}", f"ip6tables-{kind}"]
    load = [[p, *rule.split()] for p in programs for rule in rules]
    unload = [
        [p, *rule.split()] for p in programs for rule in ("-F", "-X", "-P FORWARD ACCEPT", *undo)
    ]
    return Rules(host, load, unload)


def nft(host: Host, rules: str) -> Rules:
    """A table `inet filter` with a chain of forwarded packets, as nftables.service loads it."""
    table = f"table inet filter {{ {rules}; }}"
    return Rules(host, [["nft", table]], [["nft", "delete table inet filter"]])


FLUSHED = "flush ruleset"
