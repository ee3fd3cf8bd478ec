"""The lock, the pid file and the socket."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest

from labkit.daemon import listener
from labkit.errors import ConflictError, InvalidParameterError

HOLD = """
import sys
from labkit.daemon import listener
fd = listener.lock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="labkit-unit-") as path:
        yield path


def test_a_live_daemon_is_named(folder):
    path = f"{folder}/labkitd.pid"
    arguments = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConflictError, match=f"labkitd already runs, pid {holder.pid}"):
            listener.lock(path)
        holder.kill()
    fd = listener.lock(path)
    with open(path) as file:
        assert file.read() == f"{os.getpid()}\n"
    os.close(fd)


def test_a_stale_socket_is_replaced(folder):
    path = f"{folder}/x.sock"
    listener.listen(path).close()
    assert os.path.exists(path)
    with listener.listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_the_socket_is_never_open_to_others(folder):
    with listener.listen(f"{folder}/x.sock"):
        mode = os.stat(f"{folder}/x.sock").st_mode
        assert stat.S_IMODE(mode) == 0o660


def test_a_path_too_long_for_a_socket(folder):
    with pytest.raises(InvalidParameterError, match="--run"):
        listener.listen(f"{folder}/{'x' * 100}.sock")


def test_the_group_labkit_gets_the_socket(folder, monkeypatch):
    monkeypatch.setattr(listener.grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=54321))
    given = []
    monkeypatch.setattr(listener.os, "chown", lambda *arguments: given.append(arguments))
    listener.listen(f"{folder}/x.sock").close()
    assert given == [(f"{folder}/x.sock", -1, 54321)]


def test_many_clients_may_connect_at_once(folder):
    """A client that does not wait, as Go's, gets an error if there is no room."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(500)]
    with listener.listen(f"{folder}/labkit.sock"):
        for client in clients:
            client.setblocking(False)
            client.connect(f"{folder}/labkit.sock")
    for client in clients:
        client.close()
