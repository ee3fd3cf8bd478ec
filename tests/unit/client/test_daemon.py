"""Starting a daemon, with a little program in labkitd's place."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from labkit.client import daemon
from labkit.errors import DaemonUnavailableError
from labkit.paths import Paths

IMPOSTOR = """
import os, signal, socket, sys, time
socket_path, mode = sys.argv[1:3]
ready_fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
open(socket_path + ".starts", "a").write(f"{os.getpid()} {os.getsid(0)}\\n")
if mode == "fail":
    sys.exit("labkitd: the disk is full")
if mode == "hang":
    time.sleep(60)
    sys.exit(1)
listener = socket.socket(socket.AF_UNIX)
listener.bind(socket_path)
listener.listen()
os.write(ready_fd, b"1")
os.close(ready_fd)
while True:
    listener.accept()[0].close()
"""


class Impostors:
    def __init__(self, folder: Path) -> None:
        self.paths = Paths(str(folder / "root"), str(folder / "run"))
        self.program = folder / "impostor.py"
        self.program.write_text(textwrap.dedent(IMPOSTOR))
        self.mode = "serve"

    def command(self, paths: Paths) -> list[str]:
        return [sys.executable, "-S", str(self.program), paths.socket, self.mode]

    def started(self) -> list[tuple[int, int]]:
        record = Path(self.paths.socket + ".starts")
        if not record.exists():
            return []
        return [tuple(map(int, line.split())) for line in record.read_text().splitlines()]


@pytest.fixture
def impostors(tmp_path, monkeypatch):
    made = Impostors(tmp_path)
    monkeypatch.setattr(daemon, "daemon_command", made.command)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    yield made
    for pid, _ in made.started():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_starts_one_that_belongs_to_nobody(impostors) -> None:
    daemon.ensure(impostors.paths)
    [(pid, session)] = impostors.started()
    assert session != os.getsid(0)
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" not in status
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_a_running_one_is_enough(impostors) -> None:
    daemon.ensure(impostors.paths)
    daemon.ensure(impostors.paths)
    assert len(impostors.started()) == 1


def test_many_starters_start_one(impostors) -> None:
    threads = [threading.Thread(target=daemon.ensure, args=(impostors.paths,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(impostors.started()) == 1


def test_a_stale_socket_is_no_daemon(impostors) -> None:
    os.makedirs(impostors.paths.run)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(impostors.paths.socket)
    stale.close()
    impostors.mode = "fail"
    with pytest.raises(DaemonUnavailableError):
        daemon.ensure(impostors.paths)
    assert len(impostors.started()) == 1


def test_one_that_fails_is_quoted(impostors) -> None:
    impostors.mode = "fail"
    with pytest.raises(DaemonUnavailableError) as caught:
        daemon.ensure(impostors.paths)
    log = f"{impostors.paths.run}/labkitd.log"
    assert str(caught.value) == (
        f"labkitd did not start: labkitd: the disk is full (its log: {log})"
    )


def test_one_that_hangs_is_given_up(impostors) -> None:
    impostors.mode = "hang"
    begin = time.monotonic()
    with pytest.raises(DaemonUnavailableError, match=r"within 0\.3 s: it wrote nothing"):
        daemon.ensure(impostors.paths, timeout_s=0.3)
    assert time.monotonic() - begin < 30  # it would hang for 60


def test_a_socket_that_may_not_be_used_is_no_reason_to_start_one(impostors, monkeypatch) -> None:
    monkeypatch.setattr(daemon, "_connect_error", lambda paths: PermissionError(13, "no"))
    with pytest.raises(DaemonUnavailableError, match="usermod -aG labkit"):
        daemon.ensure(impostors.paths)
    assert impostors.started() == []


def test_labkitd_loads_no_code_from_where_it_is_started(tmp_path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('loaded from here')\n")
    command = [*daemon.daemon_command(Paths.from_environment()), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
