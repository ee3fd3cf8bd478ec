"""A lab for tests: a labkitd with its own data root, run folder and cgroups.

It starts in a few tenths of a second, because the busybox image is imported once for the whole run
and shared by hard links.  Closing it removes its containers through the engine, ends the daemon,
and then *fails* if the engine has left anything behind, before that is removed.
"""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest

from labkit import ownership
from labkit.kernel.trails import remove_tree
from tests import leaks
from tests.sweep import sweep

PROJECT = Path(__file__).parent.parent
AS_NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
"""Runs a command as the user nobody, who can still reach a project in a folder of root's."""
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
"""Long enough for an emulated machine on a busy host; a daemon that ends itself is seen at once."""


_PREFIXES: set[str] = set()
"""The prefixes of the open labs' network links."""


def _take_link_prefix() -> str:
    every = (f"{leaks.RUN_NAME}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    prefix = next(prefix for prefix in every if prefix not in _PREFIXES)
    _PREFIXES.add(prefix)
    return prefix


@cache
def template_root() -> str:
    """Return a data root with the busybox image; `remove_template` removes it with the run."""
    folder = leaks.new_folder()
    make_busybox(folder)
    return folder


def make_busybox(root: str) -> None:
    """Make the busybox image in a data root."""
    subprocess.run(
        [sys.executable, "-m", "labkit.images.base", "busybox", "--root", root],
        check=True,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
    )


def remove_template() -> None:
    """Remove the shared image, if a test used it."""
    if template_root.cache_info().currsize:
        remove_tree(template_root())
        template_root.cache_clear()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at a path."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("labkit", timeout=timeout_s)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(
    socket_path: str, method: str, path: str, body: object = None, timeout_s: float = 30
) -> tuple[int, object]:
    """Send a request to a Docker API on a Unix socket; return status, and JSON or text."""
    connection = UnixConnection(socket_path, timeout_s)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


class Lab:
    """A running labkitd and the ways to use it.

    `root`, `run` and `socket` are its folders and its socket; `env` is the environment with which
    `labkit` commands reach it (`LABKIT_ROOT`, `LABKIT_RUN`, `LABKIT_CGROUP_PARENT`,
    `LABKIT_LINK_PREFIX`).  `storage` is the storage driver of an empty root; without it the root is
    a copy of the template.
    """

    def __init__(
        self,
        *,
        named_by_root: bool = False,
        disk_bytes: int = 0,
        storage: str = "",
        root: str = "",
    ) -> None:
        """`named_by_root`: its cgroups and links have the names that follow from its data root.

        `disk_bytes`: the data root is on a separate disk of this size.
        """
        # Short names: a shim's socket is below run/containers/<64 hex digits>/, and a Unix
        # socket's path has room for 107 bytes (unix(7)).
        self.folder = leaks.new_folder()
        self.root = root or f"{self.folder}/root"
        self.run = f"{self.folder}/run"
        self.socket = f"{self.run}/labkit.sock"
        self.cgroup_parent = "labkit-" + os.path.basename(self.folder)
        # The kernel allows a link's name fifteen characters: this one is shorter than the folder's.
        self.link_prefix = _take_link_prefix()
        names = {
            "LABKIT_CGROUP_PARENT": self.cgroup_parent,
            "LABKIT_LINK_PREFIX": self.link_prefix,
        }
        self.env = os.environ | {"LABKIT_ROOT": self.root, "LABKIT_RUN": self.run} | names
        if named_by_root:
            for name in names:
                del self.env[name]
            with pytest.MonkeyPatch.context() as patch:
                for name in names:
                    patch.delenv(name, raising=False)
                self.cgroup_parent = ownership.cgroup_parent(self.root)
                self.link_prefix = ownership.link_prefix(self.root)
            leaks.ENGINE_NAMES.update((self.cgroup_parent, self.link_prefix))
        self.enter: list[str] = []
        """The command that runs labkitd in a network of the test (tests/hosts.py)."""
        self.code = PROJECT
        """The folder of labkitd's code: an earlier release's, for tests of an update."""
        self._daemon: subprocess.Popen[bytes] | None = None
        self._has_disk = disk_bytes > 0
        if storage:
            self.start_daemon("--storage-driver", storage)
            make_busybox(self.root)
        elif self._has_disk:
            self._mount_disk(disk_bytes)
            subprocess.run(["cp", "-a", f"{template_root()}/.", self.root], check=True)
        else:
            subprocess.run(["cp", "-al", template_root(), self.root], check=True)

    def _mount_disk(self, size: int) -> None:
        image = f"{self.folder}/disk.img"
        with open(image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image], check=True)
        os.mkdir(self.root, 0o700)
        subprocess.run(["mount", "-o", "loop", image, self.root], check=True)

    # Requests

    def cli(
        self, *args: str, check: bool = False, timeout: float = 60, **kw: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `labkit ARGS` as a user would; text output is captured unless `kw` says otherwise."""
        options: dict[str, object] = {
            "env": self.env,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": PROJECT,
        } | kw
        if "input" in kw:
            del options["stdin"]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            self.argv(*args), check=check, timeout=timeout, **options
        )

    def cli_as_nobody(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run `labkit ARGS` as a user who is neither root nor in the group `labkit`."""
        return subprocess.run(
            [*AS_NOBODY, *Lab.argv(self, *args)],
            env=self.env,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def argv(self, *args: str) -> list[str]:
        """Return the argument vector of `labkit ARGS`, for a Popen (with `lab.env`)."""
        return [sys.executable, "-m", "labkit.cli", *args]

    def api(
        self, method: str, path: str, body: object = None, timeout_s: float = 30
    ) -> tuple[int, object]:
        """Send a request to the Docker API; return status, and decoded JSON or text."""
        return ask(self.socket, method, path, body, timeout_s)

    # The daemon's life

    def daemon_pid(self) -> int:
        """Return the process id of labkitd, from its pid file."""
        return int(Path(self.run, "labkitd.pid").read_text().split()[0])

    def start_daemon(self, *options: str) -> None:
        """Start labkitd and wait until it answers; a running one is left alone."""
        if self.answers():
            return
        log = Path(self.folder, "labkitd.log")
        with log.open("ab") as output:
            folders = ["--root", self.root, "--run", self.run]
            self._daemon = subprocess.Popen(
                [*self.enter, sys.executable, "-m", "labkit.daemon", *folders, *options],
                env=self.env,
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"labkitd did not start:\n{log.read_text()}")
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether a labkitd answers a ping on the socket."""
        try:
            return self.api("GET", "/_ping", timeout_s=5)[0] == 200
        except OSError:
            return False

    def kill_daemon(self) -> None:
        """`kill -9` the daemon, as a crash would, and wait for its end."""
        self._end_daemon(signal.SIGKILL)

    def stop_daemon(self) -> None:
        """Ask the daemon to end (SIGTERM), and wait for its end."""
        self._end_daemon(signal.SIGTERM)

    def _end_daemon(self, signal_number: int) -> None:
        try:
            pidfd = os.pidfd_open(self.daemon_pid())
        except (FileNotFoundError, ProcessLookupError):
            return
        try:
            signal.pidfd_send_signal(pidfd, signal_number)
            ended, _, _ = select.select([pidfd], [], [], STOP_TIMEOUT_S)
        finally:
            os.close(pidfd)
        assert ended, f"labkitd did not end within {STOP_TIMEOUT_S} s"
        if self._daemon is not None:
            self._daemon.wait(STOP_TIMEOUT_S)
            self._daemon = None

    # The end

    def remove_containers(self) -> None:
        """Remove every container, running or not, through the engine."""
        _, containers = self.api("GET", "/containers/json?all=1")
        assert isinstance(containers, list), containers
        for container in containers:
            status, answer = self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            assert status in (204, 404), answer

    def prune(self) -> None:
        """Remove the volumes and the networks that no container has."""
        every = quote('{"all": ["true"]}')
        for path in (f"/volumes/prune?filters={every}", "/networks/prune"):
            status, answer = self.api("POST", path)
            assert status == 200, answer

    def close(self) -> None:
        """Remove the containers, stop the daemon, remove the folders.

        Raises `AssertionError` if the engine has left a mount, a cgroup or a process behind.
        """
        try:
            self.start_daemon()
            self.remove_containers()
            self.stop_daemon()
            if self._has_disk:
                subprocess.run(["umount", self.root], check=True)
            left = self._left()
            deadline = time.monotonic() + 10
            while left and time.monotonic() < deadline:
                time.sleep(0.05)
                left = self._left()
            assert not left, "the engine left behind:\n  " + "\n  ".join(left)
        finally:
            sweep(self.folder, self.cgroup_parent, self.link_prefix)
            _PREFIXES.discard(self.link_prefix)

    def _left(self) -> list[str]:
        name = os.path.basename(self.folder)
        looks = (leaks.mounts(), leaks.processes(), leaks.cgroups(), leaks.network())
        marks = (name, self.cgroup_parent, self.link_prefix)
        lines = [line for look in looks for line in look.values()]
        return [line for line in lines if any(mark in line for mark in marks)]


def new_lab() -> Lab:
    """Return a running lab with the busybox image: a user's with LABKIT_TEST_ROOTLESS."""
    if os.environ.get("LABKIT_TEST_ROOTLESS"):
        from tests.rootless import RootlessLab  # noqa: PLC0415 it imports this file

        rootless = RootlessLab()
        rootless.start_daemon()
        rootless.load()
        return rootless
    lab = Lab()
    lab.start_daemon()
    return lab


@contextmanager
def running_lab() -> Iterator[Lab]:
    """A lab with its daemon running, closed at the end."""
    lab = new_lab()
    try:
        yield lab
    finally:
        lab.close()
