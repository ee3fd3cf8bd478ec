"""The network of an engine without root: published ports, and an engine with no way out."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.rootless_user import RootlessUser

pytestmark = pytest.mark.root
SERVER = "echo hello >/index.html; exec httpd -f -p 80"
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def user() -> Iterator[RootlessUser]:
    """Someone with an engine of their own, and the image."""
    with RootlessUser() as made:
        made.load_busybox()
        yield made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch(port: int, address: str = "127.0.0.1") -> bytes:
    """What the server says; again until it listens."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with socket.create_connection((address, port), TIMEOUT_S) as connection:
            connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        if said or time.monotonic() > deadline:
            return said
        time.sleep(0.05)


def _is_closed(port: int) -> bool:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), TIMEOUT_S).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.05)
    return False


def test_a_port_stays_through_a_crash_of_labkitd_and_ends_with_its_container(
    user: RootlessUser,
) -> None:
    port = _free_port()
    user.cli("run", "-d", "--name", "web", "-p", f"{port}:80", "busybox", "sh", "-c", SERVER)
    assert b"hello" in _fetch(port)
    os.kill(user.daemon_pid(), signal.SIGKILL)
    assert b"hello" in _fetch(port)
    assert f"0.0.0.0:{port}" in user.cli("port", "web").stdout
    assert b"hello" in _fetch(port)
    user.cli("rm", "-f", "web")
    assert _is_closed(port)
    assert "labkit-relay" not in user.processes().values()


def test_a_port_of_127_0_0_1_stays_there(user: RootlessUser) -> None:
    port = _free_port()
    published = f"127.0.0.1:{port}:80"
    user.cli("run", "-d", "--name", "near", "-p", published, "busybox", "sh", "-c", SERVER)
    assert b"hello" in _fetch(port)
    with pytest.raises(ConnectionRefusedError):
        _fetch(port, "127.0.0.2")
    user.cli("rm", "-f", "near")


def test_a_taken_port_is_an_error_with_its_name(user: RootlessUser) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = user.cli("run", "--rm", "-p", f"{port}:80", "busybox", "true", check=False)
    assert done.returncode == 125
    assert str(port) in done.stderr
    assert "already" in done.stderr


def test_the_host_network_is_said_to_be_the_engines_own(user: RootlessUser) -> None:
    done = user.cli("create", "--name", "own", "--network", "host", "busybox", "true")
    assert "labkitd, which runs without root" in done.stderr
    user.cli("rm", "own")


def test_the_machines_own_services_are_out_of_reach(user: RootlessUser) -> None:
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen()
        service.settimeout(0.5)
        port = service.getsockname()[1]
        script = (
            f"for to in 127.0.0.1 $(ip route | sed -n 's/.*via \\([0-9.]*\\).*/\\1/p'); "
            f"do nc -w 2 $to {port} </dev/null; done; ip route"
        )
        for network in ("bridge", "host"):
            user.cli("run", "--rm", "--network", network, "busybox", "sh", "-c", script)
        with pytest.raises(TimeoutError):
            service.accept()


def test_a_closed_tun_is_said_and_containers_run_all_the_same() -> None:
    with RootlessUser(tun="600") as alone:
        alone.load_busybox()
        assert alone.cli("run", "--rm", "busybox", "echo", "hi").stdout == "hi\n"
        said = alone.cli("info").stdout + alone.cli("info").stderr
        assert "/dev/net/tun" in said if shutil.which("pasta") else "passt" in said
