"""What an engine without root does at its edges: resets, IPv6, devices, few ids, a lost holder."""

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers import wait_until
from tests.integration.docker_command import DockerCommand
from tests.peers import clients
from tests.registries import LabkitRegistry
from tests.rootless import RootlessLab, running_rootless_lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shared() -> Iterator[RootlessLab]:
    with running_rootless_lab() as lab:
        yield lab


@pytest.fixture
def user(shared: RootlessLab) -> Iterator[RootlessLab]:
    shared.start_daemon()
    yield shared
    shared.start_daemon()
    shared.remove_containers()


def out(lab: RootlessLab, *words: str, code: int = 0) -> str:
    done = lab.cli(*words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return str(done.stderr if code else done.stdout)


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


@contextmanager
def server_in(lab: RootlessLab, name: str, script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Python in a container's network; it has printed `ready` when this begins."""
    pid = out(lab, "inspect", "-f", "{{.State.Pid}}", name).strip()
    words = ["nsenter", "-t", pid, "-n", sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield server
        server.kill()


LISTEN = """
import socket, struct, sys, time
server = socket.create_server(("0.0.0.0", 80))
print("ready", flush=True)
def cut(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
connection, _ = server.accept()
"""
SIZE = 3 << 20
ANSWERS = {
    "cut off": f"""
connection.sendall(bytes({SIZE}))
time.sleep(0.5)  # the kernel has sent it
cut(connection)
""",
    "ended": f"""
connection.recv(10)
connection.sendall(bytes({SIZE}))
connection.close()
""",
    "closed with something unread": f"""
while len(connection.recv(10, socket.MSG_PEEK)) < 10:
    pass
connection.sendall(bytes({SIZE}))
time.sleep(0.5)
connection.close()
""",
}


@pytest.mark.parametrize("how", ANSWERS)
def test_a_client_sees_whether_an_answer_was_cut_off(user: RootlessLab, how: str) -> None:
    port = free_port()
    name = out(user, "run", "-d", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "600").strip()
    with (
        server_in(user, name, LISTEN + ANSWERS[how]),
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        client.sendall(b"0123456789")
        got, was_reset = 0, False
        try:
            while part := client.recv(1 << 16):
                got += len(part)
        except ConnectionResetError:
            was_reset = True
    assert (got, was_reset) == (SIZE, how != "ended")


def test_a_container_sees_that_a_client_broke_off(user: RootlessLab) -> None:
    port = free_port()
    name = out(user, "run", "-d", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "600").strip()
    says = """
connection.sendall(b"go on")
try:
    while connection.recv(100):
        pass
    print("ended", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
"""
    for lingers, expected in ((True, b"reset\n"), (False, b"ended\n")):
        with server_in(user, name, LISTEN + says) as server:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            assert client.recv(100) == b"go on"
            if lingers:
                on = (1).to_bytes(4, "little") + bytes(4)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, on)
            client.close()
            assert server.stdout is not None
            assert server.stdout.readline() == expected


def test_a_port_where_no_program_listens_is_a_reset(user: RootlessLab) -> None:
    port = free_port()
    out(user, "run", "-d", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "600")
    # The reset may come before the connection is reported as made.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        client.recv(1)


@pytest.mark.parametrize("place", ["[::]:{port}:80", "[::1]:{port}:80", "{port}:80"])
def test_ipv6_of_the_machine_leads_to_a_container_with_ipv4_alone(
    user: RootlessLab, place: str
) -> None:
    port = free_port()
    published = place.format(port=port)
    name = out(user, "run", "-d", "-p", published, "busybox", "sleep", "600").strip()
    answer = "connection.sendall(b'six'); connection.close(); time.sleep(9)"
    with (
        server_in(user, name, LISTEN + answer),
        socket.create_connection(("::1", port), timeout=20) as client,
    ):
        assert client.recv(100) == b"six"


def test_docker_finds_the_socket_under_dockers_name(user: RootlessLab, tmp_path: Path) -> None:
    programs = clients.docker_by_version()
    assert programs
    name = f"{user.run}/docker.sock"
    docker = DockerCommand(next(iter(programs.values())), user, str(tmp_path))
    docker.env["DOCKER_HOST"] = f"unix://{name}"
    assert docker.out("run", "--rm", "busybox", "id", "-u") == "0"
    user.kill_daemon()
    user.start_daemon()
    assert "rootless" in docker.out("info", "-f", "{{.SecurityOptions}}")
    user.stop_daemon()
    assert not os.path.lexists(name)


def test_device_files_that_were_left_out_are_named(user: RootlessLab) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(2):
            node = tarfile.TarInfo(f"dev/tty{number}")
            node.type, node.devmajor, node.devminor = tarfile.CHRTYPE, 4, number
            tar.addfile(node)
        fifo = tarfile.TarInfo("fifo")
        fifo.type = tarfile.FIFOTYPE
        tar.addfile(fifo)
    path = Path(user.folder, "nodes.tar")
    path.write_bytes(archive.getvalue())
    out(user, "import", str(path), "nodes")
    made = user.cli("create", "nodes", "true")
    assert "without root and left out 2 device files of the image" in made.stderr
    assert not user.cli("create", "busybox", "true").stderr
    user.remove_containers()
    out(user, "rmi", "nodes")


def test_a_user_that_the_engine_has_not_is_refused_with_the_way_out() -> None:
    with running_rootless_lab(ids="") as lab:
        said = out(lab, "run", "--rm", "--user", "1000", "busybox", "true", code=125)
        assert "/etc/subuid" in said
        assert "labkit doctor" in said


def test_the_doctor_names_a_data_root_of_the_other_kind(user: RootlessLab) -> None:
    words = [sys.executable, "-m", "labkit.cli", "doctor"]
    for enter, is_wrong in (([], True), (user.enter, False)):
        done = subprocess.run(
            [*enter, *words], env=user.env, capture_output=True, text=True, check=False
        )
        said = " ".join((done.stdout + done.stderr).split())
        assert ("belongs to an engine without root" in said) == is_wrong, said


def holder_of(lab: RootlessLab) -> int:
    connection = socket.socket(socket.AF_UNIX)
    with connection:
        connection.connect(f"{lab.run}/holder.sock")
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(peer[:4], sys.byteorder)


def test_a_killed_holder_costs_no_container(user: RootlessLab) -> None:
    port, second = free_port(), free_port()
    run = ("run", "-d", "--name")
    out(user, *run, "before", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "600")
    daemon, lost = user.daemon_pid(), holder_of(user)
    os.kill(lost, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{daemon}/exe"), timeout_s=10)
    assert "labkit-holder has ended" in Path(user.folder, "labkitd.log").read_text()
    user.start_daemon()
    assert holder_of(user) != lost
    assert out(user, "exec", "before", "echo", "on") == "on\n"
    out(user, *run, "after", "-p", f"127.0.0.1:{second}:80", "busybox", "sleep", "600")
    answer = "connection.sendall(b'hello'); connection.close(); time.sleep(9)"
    for name, place in (("before", port), ("after", second)):
        with (
            server_in(user, name, LISTEN + answer),
            socket.create_connection(("127.0.0.1", place), timeout=20) as client,
        ):
            assert client.recv(100) == b"hello"
    # Both are in one network, and there is a way out again.
    warnings = user.api("GET", "/info")[1]["Warnings"]  # type: ignore[index]
    assert "nothing outside" not in " ".join(warnings)
    address = out(user, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "before").strip()
    assert out(user, "exec", "after", "ping", "-c", "1", "-W", "5", address)


def test_a_killed_holder_with_all_that_it_held(user: RootlessLab) -> None:
    name = out(user, "run", "-d", "busybox", "sleep", "600").strip()
    shim = user.api("GET", f"/containers/{name}/json")[1]["State"]["Pid"]  # type: ignore[index]
    os.kill(holder_of(user), signal.SIGKILL)
    os.kill(int(shim), signal.SIGKILL)
    wait_until(lambda: not user.answers(), timeout_s=10)
    time.sleep(0.2)
    user.start_daemon()
    assert out(user, "ps", "-q") == ""
    assert out(user, "run", "--rm", "busybox", "echo", "hi") == "hi\n"


@pytest.mark.parametrize("with_tun", [True, False], ids=["cable", "no cable"])
def test_registries_of_the_machine_are_labkitds_and_no_containers(
    tmp_path: Path, with_tun: bool
) -> None:
    registry = LabkitRegistry(str(tmp_path))
    try:
        with running_rootless_lab(with_tun=with_tun) as lab:
            name = f"localhost:{registry.port}/one"
            out(lab, "tag", "busybox", name)
            assert "digest: sha256:" in out(lab, "push", name)
            out(lab, "rmi", name)
            out(lab, "pull", "-q", name)
            script = f"nc -w 2 localhost {registry.port}; nc -w 2 127.0.0.1 {registry.port}"
            assert lab.cli("run", "--rm", "--network", "host", name, "sh", "-c", script).returncode
    finally:
        registry.end()


def test_a_registry_that_does_not_answer_is_named_as_ever(user: RootlessLab) -> None:
    port = free_port()
    said = out(user, "pull", f"127.0.0.1:{port}/one", code=1)
    assert "connection refused" in said
    assert "no such host" in out(user, "pull", "nosuch.invalid/one", code=1)


def test_commands_inside_begin_where_they_were_called(user: RootlessLab) -> None:
    words = [*user.enter, sys.executable, "-m", "labkit.rootless", "pwd"]
    done = subprocess.run(
        words, cwd="/usr", env=user.env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "/usr\n"), done.stderr
