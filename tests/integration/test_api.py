"""The Docker API of a real daemon: byte by byte, by docker's own commands, and by docker-py."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

TIMEOUT_S = 20.0


def docker_commands() -> list[str]:
    """Every docker command on the PATH, each version once."""
    folders = os.environ["PATH"].split(os.pathsep)
    found = [f"{folder}/docker" for folder in folders if os.access(f"{folder}/docker", os.X_OK)]
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


def create_body(*command: str, **host_config: object) -> dict[str, object]:
    return {
        "Image": "busybox",
        "Cmd": list(command),
        "HostConfig": {"NetworkMode": "none"} | host_config,
    }


def create(lab: Lab, *command: str, name: str = "", **more: object) -> str:
    body = create_body(*command) | more
    status, answer = lab.api("POST", f"/containers/create?name={name}", body)
    assert status == 201, answer
    return answer["Id"]


def run(lab: Lab, *command: str, name: str = "", **more: object) -> str:
    """A started container."""
    container_id = create(lab, *command, name=name, **more)
    assert lab.api("POST", f"/containers/{container_id}/start")[0] == 204
    return container_id


class Raw:
    """A connection on which a test writes and reads what it likes."""

    def __init__(self, lab: Lab, request: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(lab.socket)
        self.socket.sendall(request)

    def head(self) -> bytes:
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            assert byte, got
            got += byte
        return got

    def rest(self) -> bytes:
        got = b""
        while part := self.socket.recv(65536):
            got += part
        return got

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def attach(lab: Lab, container_id: str, streams: str, after_head: bytes = b"") -> Raw:
    head = (
        f"POST /v1.47/containers/{container_id}/attach?stream=1&{streams} HTTP/1.1\r\n"
        "Host: labkit\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    return Raw(lab, head.encode() + after_head)


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Docker's multiplexed stream, taken apart."""
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


def joined(data: bytes) -> dict[int, bytes]:
    """What came on each stream, however it was cut."""
    whole: dict[int, bytes] = {}
    for stream, payload in frames(data):
        whole[stream] = whole.get(stream, b"") + payload
    return whole


class TestLifecycle:
    def test_create_start_wait_inspect_remove(self, lab):
        container_id = create(lab, "sh", "-c", "echo out; echo err >&2; exit 7", name="life")
        _, created = lab.api("GET", "/containers/life/json")
        assert created["State"]["Status"] == "created"
        assert lab.api("POST", "/containers/life/start")[0] == 204
        status, ended = lab.api("POST", "/containers/life/wait")
        assert (status, ended) == (200, {"StatusCode": 7})
        _, shown = lab.api("GET", f"/containers/{container_id[:12]}/json")
        assert shown["Name"] == "/life"
        assert shown["State"]["Status"] == "exited"
        assert shown["State"]["ExitCode"] == 7
        assert shown["State"]["FinishedAt"] > shown["State"]["StartedAt"] > created["Created"]
        assert os.path.exists(shown["LogPath"])
        assert os.path.isdir(shown["GraphDriver"]["Data"]["UpperDir"])
        assert all(map(os.path.isdir, shown["GraphDriver"]["Data"]["LowerDir"].split(":")))
        assert lab.api("DELETE", "/containers/life")[0] == 204
        assert lab.api("GET", "/containers/life/json")[0] == 404

    def test_the_list(self, lab):
        running = run(lab, "sleep", "100", name="up", Labels={"a": "b"})
        create(lab, "true", name="new")
        _, listed = lab.api("GET", "/containers/json")
        assert [entry["Id"] for entry in listed] == [running]
        assert listed[0]["Status"].startswith("Up ")
        assert listed[0]["Command"] == "sleep 100"
        _, listed = lab.api("GET", "/containers/json?all=1")
        assert [entry["Names"] for entry in listed] == [["/new"], ["/up"]]
        _, info = lab.api("GET", "/info")
        assert (info["Containers"], info["ContainersRunning"]) == (2, 1)

    def test_states_that_do_not_fit(self, lab):
        run(lab, "sleep", "100", name="busy")
        assert lab.api("POST", "/containers/busy/start")[0] == 304
        assert lab.api("DELETE", "/containers/busy")[0] == 409
        status, answer = lab.api("POST", "/containers/create?name=busy", create_body("true"))
        assert status == 409
        assert "is already in use" in answer["message"]
        assert lab.api("POST", "/containers/busy/kill?signal=KILL")[0] == 204
        assert lab.api("POST", "/containers/busy/wait")[1] == {"StatusCode": 137}
        assert lab.api("POST", "/containers/busy/kill")[0] == 409
        assert lab.api("POST", "/containers/busy/stop")[0] == 304

    def test_stop_is_a_signal_and_then_the_end(self, lab):
        run(lab, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done", name="polite")
        time.sleep(0.1)
        assert lab.api("POST", "/containers/polite/stop?t=10")[0] == 204
        assert lab.api("GET", "/containers/polite/json")[1]["State"]["ExitCode"] == 3
        run(lab, "sleep", "100", name="deaf")
        begin = time.monotonic()
        assert lab.api("POST", "/containers/deaf/stop?t=1")[0] == 204
        assert 0.9 < time.monotonic() - begin < 5
        assert lab.api("GET", "/containers/deaf/json")[1]["State"]["ExitCode"] == 137

    def test_a_command_that_is_not_there(self, lab):
        container_id = create(lab, "nosuch")
        status, answer = lab.api("POST", f"/containers/{container_id}/start")
        assert status == 400
        assert answer["labkit"] == {"exit_code": 127, "step": "exec"}
        assert "executable file not found" in answer["message"]

    def test_limits_out_of_range(self, lab):
        status, answer = lab.api("POST", "/containers/create", create_body("true", Memory=1))
        assert (status, answer) == (400, {"message": "Minimum memory limit allowed is 6MB"})
        assert lab.api("GET", "/containers/json?all=1")[1] == []

    def test_steps_and_ablations(self, lab):
        _, answer = lab.api(
            "POST",
            "/containers/create?name=bare",
            create_body("true") | {"Labkit": {"Without": ["seccomp"]}},
        )
        assert "seccomp" in answer["Warnings"][0]
        assert lab.api("GET", "/containers/bare/steps") == (200, [])
        lab.api("POST", "/containers/bare/start")
        lab.api("POST", "/containers/bare/wait")
        names = [step["Step"] for step in lab.api("GET", "/containers/bare/steps")[1]]
        assert "exec" in names
        assert "seccomp" not in names
        _, shown = lab.api("GET", "/containers/bare/json")
        assert shown["Labkit"] == {"Without": ["seccomp"]}

    def test_many_clients_at_once(self, lab):
        def live(number: int) -> int:
            container_id = run(lab, "sh", "-c", f"exit {number}")
            _, ended = lab.api("POST", f"/containers/{container_id}/wait")
            assert lab.api("DELETE", f"/containers/{container_id}")[0] == 204
            return ended["StatusCode"]

        with ThreadPoolExecutor(8) as clients:
            assert list(clients.map(live, range(24))) == list(range(24))
        assert lab.api("GET", "/containers/json?all=1")[1] == []


class TestWait:
    @pytest.mark.parametrize("condition", ["next-exit", "removed"])
    def test_is_armed_when_its_head_arrives(self, lab, condition):
        """As `docker run --rm` does it: wait, start a container that ends at once, get its code."""
        for _ in range(10):
            container_id = create(lab, "sh", "-c", "exit 5")
            path = f"/containers/{container_id}/wait?condition={condition}"
            with Raw(lab, f"POST {path} HTTP/1.0\r\n\r\n".encode()) as waiting:
                waiting.head()
                assert lab.api("POST", f"/containers/{container_id}/start")[0] == 204
                if condition == "removed":
                    lab.api("POST", f"/containers/{container_id}/wait")
                    assert lab.api("DELETE", f"/containers/{container_id}")[0] == 204
                assert json.loads(waiting.rest()) == {"StatusCode": 5}

    def test_a_failed_start_of_a_container_that_removes_itself(self, lab):
        body = create_body("nosuch", AutoRemove=True)
        container_id = lab.api("POST", "/containers/create", body)[1]["Id"]
        request = f"POST /containers/{container_id}/wait?condition=removed HTTP/1.0\r\n\r\n"
        with Raw(lab, request.encode()) as waiting:
            waiting.head()
            assert lab.api("POST", f"/containers/{container_id}/start")[0] == 400
            assert json.loads(waiting.rest()) == {"StatusCode": 127}

    def test_clients_that_go_away_leave_no_thread(self, lab):
        container_id = run(lab, "sleep", "100")

        def threads() -> int:
            return len(os.listdir(f"/proc/{lab.daemon_pid()}/task"))

        before = threads()
        for path in (f"{container_id}/wait", f"{container_id}/logs?stdout=1&follow=1"):
            method = "POST" if path.endswith("wait") else "GET"
            for _ in range(5):
                with Raw(lab, f"{method} /containers/{path} HTTP/1.1\r\n\r\n".encode()) as client:
                    client.head()
        deadline = time.monotonic() + 5
        while threads() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert threads() <= before


class TestStreams:
    def test_attached_before_the_start_nothing_is_missed(self, lab):
        container_id = create(lab, "sh", "-c", "echo out; echo err >&2")
        with attach(lab, container_id, "stdout=1&stderr=1") as client:
            head = client.head()
            assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
            assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
            lab.api("POST", f"/containers/{container_id}/start")
            assert sorted(frames(client.rest())) == [(1, b"out\n"), (2, b"err\n")]

    def test_input_that_came_with_the_head_reaches_the_container(self, lab):
        container_id = create(lab, "cat", OpenStdin=True, StdinOnce=True)
        with attach(lab, container_id, "stdin=1&stdout=1", b"with the head\n") as client:
            client.head()
            client.socket.sendall(b"after the head\n")
            lab.api("POST", f"/containers/{container_id}/start")
            client.socket.sendall(b"after the start\n")
            client.socket.shutdown(socket.SHUT_WR)
            text = b"with the head\nafter the head\nafter the start\n"
            assert joined(client.rest()) == {1: text}

    def test_output_goes_on_after_the_half_close(self, lab):
        script = "cat; sleep 0.2; echo later"
        container_id = create(lab, "sh", "-c", script, OpenStdin=True, StdinOnce=True)
        with attach(lab, container_id, "stdin=1&stdout=1") as client:
            client.head()
            lab.api("POST", f"/containers/{container_id}/start")
            client.socket.sendall(b"first\n")
            client.socket.shutdown(socket.SHUT_WR)
            assert joined(client.rest()) == {1: b"first\nlater\n"}

    def test_two_clients_of_one_container_and_one_that_leaves(self, lab):
        container_id = run(lab, "sh", "-c", "read x; echo got $x", OpenStdin=True)
        with (
            attach(lab, container_id, "stdout=1") as one,
            attach(lab, container_id, "stdin=1&stdout=1") as two,
        ):
            for client in (one, two):
                client.head()
            with attach(lab, container_id, "stdout=1") as gone:
                gone.head()
            two.socket.sendall(b"it\n")
            assert joined(one.rest()) == joined(two.rest()) == {1: b"got it\n"}

    def test_an_attached_client_survives_the_daemon(self, make_lab):
        lab = make_lab()
        container_id = run(lab, "sh", "-c", "read x; echo got $x", OpenStdin=True)
        with attach(lab, container_id, "stdin=1&stdout=1") as client:
            client.head()
            lab.stop_daemon()
            client.socket.sendall(b"it\n")
            assert joined(client.rest()) == {1: b"got it\n"}

    def test_a_large_output_arrives_whole_and_in_the_log(self, lab):
        container_id = create(lab, "sh", "-c", "seq 1 20000")
        expected = "".join(f"{number}\n" for number in range(1, 20001)).encode()
        with attach(lab, container_id, "stdout=1&stderr=1") as client:
            client.head()
            lab.api("POST", f"/containers/{container_id}/start")
            assert joined(client.rest()) == {1: expected}
        path = f"/containers/{container_id}/logs?stdout=1&stderr=1"
        with Raw(lab, f"GET {path} HTTP/1.0\r\n\r\n".encode()) as client:
            client.head()
            assert joined(client.rest()) == {1: expected}

    def test_logs_are_followed_to_the_end(self, lab):
        script = "echo one; sleep 0.3; echo two >&2"
        container_id = run(lab, "sh", "-c", script)
        path = f"/containers/{container_id}/logs?stdout=1&stderr=1&follow=1"
        with Raw(lab, f"GET {path} HTTP/1.0\r\n\r\n".encode()) as client:
            client.head()
            assert frames(client.rest()) == [(1, b"one\n"), (2, b"two\n")]


def import_request(archive: bytes, chunk_bytes: int) -> Iterator[bytes]:
    yield b"POST /images/create?fromSrc=-&repo=mine&tag=1 HTTP/1.1\r\n"
    yield b"Transfer-Encoding: chunked\r\n\r\n"
    for start in range(0, len(archive), chunk_bytes):
        part = archive[start : start + chunk_bytes]
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


@pytest.fixture
def archive(tmp_path) -> bytes:
    """A small root file system: busybox and a shell."""
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    return (tmp_path / "root.tar").read_bytes()


class TestImages:
    def test_import_in_odd_chunks_and_run(self, lab, archive):
        with Raw(lab, b"".join(import_request(archive, 77_777))) as client:
            assert b" 200 OK" in client.head()
        _, listed = lab.api("GET", "/images/json?filters=%7B%22reference%22%3A%5B%22mine%22%5D%7D")
        assert listed[0]["RepoTags"] == ["mine:1"]
        body = create_body("sh", "-c", "exit 4") | {"Image": "mine:1"}
        container_id = lab.api("POST", "/containers/create", body)[1]["Id"]
        assert lab.api("DELETE", "/images/mine:1")[0] == 409
        lab.api("POST", f"/containers/{container_id}/start")
        assert lab.api("POST", f"/containers/{container_id}/wait")[1] == {"StatusCode": 4}
        lab.api("DELETE", f"/containers/{container_id}")
        status, report = lab.api("DELETE", "/images/mine:1")
        assert status == 200
        assert [next(iter(entry)) for entry in report] == ["Untagged", "Deleted"]

    @pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
    def test_an_import_that_is_cut_off_leaves_no_image(self, lab, archive, part):
        request = b"".join(import_request(archive, 32_768))
        with Raw(lab, request[: 100 + int(part * len(request))]):
            pass
        with Raw(lab, request[: 100 + int(part * len(request))]) as client:
            client.socket.shutdown(socket.SHUT_WR)
            assert b" 400 " in client.head()
        _, listed = lab.api("GET", "/images/json")
        assert [image["RepoTags"] for image in listed] == [["busybox:latest"]]
        assert os.listdir(f"{lab.root}/staging") == []

    def test_what_is_no_archive_is_refused(self, lab):
        with Raw(lab, b"".join(import_request(b"x" * 5000, 1000))) as client:
            assert b" 400 " in client.head()


class TestBadClients:
    def test_they_harm_no_other(self, lab):
        """Twenty that are slow, twenty that talk nonsense, while containers run to their ends."""
        slow = [Raw(lab, b"POST /containers/create HTTP/1.1\r\nContent-") for _ in range(20)]
        stop = threading.Event()

        def talk_nonsense() -> int:
            count = 0
            while not stop.is_set():
                with Raw(lab, os.urandom(300) + b"\r\n\r\n") as client:
                    client.rest()
                count += 1
                time.sleep(0.01)
            return count

        with ThreadPoolExecutor(2) as clients:
            talking = [clients.submit(talk_nonsense) for _ in range(2)]
            for _ in range(5):
                container_id = run(lab, "true")
                assert lab.api("POST", f"/containers/{container_id}/wait")[1] == {"StatusCode": 0}
            stop.set()
            assert all(future.result() > 0 for future in talking)
        for client in slow:
            client.socket.close()
        assert lab.answers()


@pytest.fixture(params=docker_commands() or ["docker"])
def docker_cli(request, lab, tmp_path):
    """Runs a docker command against the lab; each version on this machine is tried."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DOCKER_HOST": f"unix://{lab.socket}",
        "DOCKER_CONFIG": str(tmp_path),
        "DOCKER_CLI_HINTS": "false",
    }

    def call(*arguments: str, text_in: bytes = b"") -> tuple[int, str, str]:
        ended = subprocess.run(
            [request.param, *arguments],
            env=environment,
            input=text_in,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    return call


class TestDockerCommand:
    """The real `docker`, unchanged but for DOCKER_HOST."""

    def test_version_and_info(self, docker_cli):
        code, out, err = docker_cli("version")
        assert code == 0, err
        assert "Server: labkit" in out
        code, out, err = docker_cli("info", "--format", "{{json .}}")
        assert code == 0, err
        assert json.loads(out)["Driver"] == "overlayfs"
        assert docker_cli("info")[0] == 0

    def test_run(self, docker_cli):
        assert docker_cli("run", "--rm", "--network", "none", "busybox", "echo", "hi") == (
            0,
            "hi\n",
            "",
        )
        assert docker_cli("ps", "-aq") == (0, "", "")

    def test_run_with_the_default_network_warns(self, docker_cli):
        code, out, err = docker_cli("run", "--rm", "busybox", "echo", "hi")
        assert (code, out) == (0, "hi\n")
        assert err.startswith("WARNING: ")
        assert "no network" in err

    def test_standard_input_goes_in_and_both_outputs_come_out(self, docker_cli):
        data = os.urandom(300_000)
        script = "sha256sum; echo to stderr >&2"
        arguments = ("run", "-i", "--rm", "--network", "none", "busybox", "sh", "-c", script)
        code, out, err = docker_cli(*arguments, text_in=data)
        expected = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
        assert (code, out, err) == (0, expected.stdout.decode(), "to stderr\n")

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("busybox", "sh", "-c", "exit 42"), 42),
            (("busybox", "nosuch"), 127),
            (("busybox", "/nosuch"), 127),
            (("busybox", "/etc"), 126),
            (("nosuch", "true"), 125),
            (("-m", "1", "busybox", "true"), 125),
            (("-v", "/tmp:/tmp", "busybox", "true"), 125),
            (("--privileged", "busybox", "true"), 125),
        ],
    )
    def test_exit_codes(self, docker_cli, arguments, code):
        got, _, err = docker_cli("run", "--rm", "--network", "none", *arguments)
        assert got == code, err
        assert docker_cli("ps", "-aq") == (0, "", "")

    def test_a_container_in_the_background(self, docker_cli):
        script = "trap 'exit 9' TERM; echo out; echo err >&2; while :; do sleep 0.05; done"
        code, out, err = docker_cli(
            "run", "-d", "--name", "bg", "--network", "none", "-c", "512", "-m", "64m", "busybox",
            "sh", "-c", script,
        )  # fmt: skip
        assert code == 0, err
        container_id = out.strip()
        assert len(container_id) == 64
        line = "{{.ID}} {{.Names}} {{.Image}} {{.State}}"
        assert docker_cli("ps", "--format", line)[1] == f"{container_id[:12]} bg busybox running\n"
        assert docker_cli("ps", "-q", "--filter", "name=nobody")[1] == ""
        shares = "{{.HostConfig.CpuShares}} {{.HostConfig.Memory}} {{.State.Running}}"
        assert docker_cli("inspect", "-f", shares, "bg")[1] == f"512 {64 << 20} true\n"
        deadline = time.monotonic() + 5
        while docker_cli("logs", "bg")[1:] != ("out\n", "err\n"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert docker_cli("logs", "-t", "--tail", "1", "bg")[2].endswith("Z err\n")
        assert docker_cli("stop", "-t", "5", "bg") == (0, "bg\n", "")
        assert docker_cli("wait", "bg") == (0, "9\n", "")
        assert "Exited (9)" in docker_cli("ps", "-a")[1]
        assert docker_cli("rm", "bg") == (0, "bg\n", "")
        assert docker_cli("rm", "bg")[0] == 1

    def test_create_start_kill(self, docker_cli):
        code, out, err = docker_cli(
            "create", "--name", "made", "--network", "none", "busybox", "sleep", "100"
        )
        assert code == 0, err
        assert docker_cli("start", "made") == (0, "made\n", "")
        assert docker_cli("kill", "-s", "USR1", "made")[0] == 0
        assert docker_cli("kill", out.strip()[:10])[0] == 0
        assert docker_cli("wait", "made")[1] == "137\n"
        assert docker_cli("start", "made")[0] == 0
        assert docker_cli("rm", "-f", "made")[0] == 0

    def test_images_and_import(self, docker_cli, archive):
        code, out, err = docker_cli("import", "--change", "CMD echo from-cmd", "-", "it:1",
                                    text_in=archive)  # fmt: skip
        assert code == 0, err
        assert out.startswith("sha256:")
        assert "busybox" in docker_cli("images")[1]
        listed = docker_cli("images", "--format", "{{.Repository}}:{{.Tag}}", "it")[1]
        assert listed == "it:1\n"
        shown = docker_cli("inspect", "-f", "{{json .Config.Cmd}}", "it:1")[1]
        assert "echo from-cmd" in shown
        assert docker_cli("rmi", "it:1")[0] == 0
        assert docker_cli("rmi", "it:1")[0] == 1


def test_a_docker_command_is_there():
    """The tests above stand on it: a machine without one would pass them for nothing."""
    assert docker_commands(), "install Debian's docker.io or docker-cli"


@pytest.fixture
def client(lab) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=f"unix://{lab.socket}", timeout=TIMEOUT_S)
    yield made
    made.close()


class TestDockerPy:
    def test_version_info_and_ping(self, client):
        assert client.version()["ApiVersion"] == "1.47"
        assert client.info()["OSType"] == "linux"
        assert client.ping()

    def test_run(self, client):
        out = client.containers.run("busybox", ["echo", "hi"], remove=True, network_mode="none")
        assert out == b"hi\n"
        assert client.containers.list(all=True) == []

    def test_a_failing_command_raises_with_its_output(self, client):
        with pytest.raises(docker.errors.ContainerError) as failure:
            client.containers.run(
                "busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True, network_mode="none"
            )
        assert failure.value.exit_status == 3
        assert failure.value.stderr == b"bad\n"

    def test_errors(self, client):
        with pytest.raises(docker.errors.NotFound):
            client.containers.get("nobody")
        with pytest.raises(docker.errors.ImageNotFound):
            client.images.get("nobody")
        with pytest.raises(docker.errors.APIError, match="executable file not found"):
            client.containers.run("busybox", "nosuch", network_mode="none")
        with pytest.raises(docker.errors.APIError, match=r"HostConfig\.Binds"):
            client.containers.run("busybox", "true", volumes=["/tmp:/tmp"], network_mode="none")

    def test_a_container_in_the_background(self, client):
        container = client.containers.run(
            "busybox",
            ["sh", "-c", "echo a; sleep 100"],
            detach=True,
            name="py",
            labels={"kind": "test"},
            network_mode="none",
            mem_limit="64m",
        )
        container.reload()
        assert container.status == "running"
        assert container.attrs["HostConfig"]["Memory"] == 64 << 20
        assert [c.id for c in client.containers.list(filters={"label": "kind=test"})] == [
            container.id
        ]
        following = container.logs(stream=True, follow=True)
        assert next(following) == b"a\n"
        container.kill("SIGKILL")
        assert list(following) == []
        assert container.wait() == {"StatusCode": 137}
        container.remove()

    def test_attach_socket(self, client):
        made = client.api.create_container(
            "busybox",
            ["cat"],
            stdin_open=True,
            host_config=client.api.create_host_config(network_mode="none"),
        )
        stream = client.api.attach_socket(made, params={"stdin": 1, "stdout": 1, "stream": 1})
        client.api.start(made)
        stream._sock.sendall(b"ping\n")
        assert stream.read(13) == struct.pack(">BxxxL", 1, 5) + b"ping\n"
        stream.close()

    def test_images(self, client, archive):
        client.api.import_image_from_data(archive, repository="py", tag="1")
        assert client.images.get("py:1").tags == ["py:1"]
        assert {tag for image in client.images.list() for tag in image.tags} == {
            "busybox:latest",
            "py:1",
        }
        client.images.remove("py:1")


class TestDaemonProcess:
    def daemon(self, lab: Lab, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.daemon", "--root", lab.root, *arguments],
            env=lab.env,
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            **options,
        )

    @pytest.mark.parametrize("run_folder", ["run", "another"])
    def test_a_second_daemon_is_refused(self, lab, run_folder):
        with self.daemon(lab, "--run", f"{lab.folder}/{run_folder}") as second:
            _, err = second.communicate(timeout=TIMEOUT_S)
        assert second.returncode == 1
        assert f"labkitd already runs, pid {lab.daemon_pid()}".encode() in err
        assert err.count(b"\n") == 1
        assert lab.answers()

    def test_not_root(self, lab):
        with self.daemon(lab, user=65534, group=65534, extra_groups=[]) as process:
            _, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 1
        assert err == b"labkitd must run as root: it makes namespaces, mounts and cgroups\n"

    def test_ready_line_restart_and_clean_end(self, make_lab):
        lab = make_lab()
        container_id = run(lab, "sh", "-c", "read x; exit 6", OpenStdin=True)
        lab.stop_daemon()
        assert not os.path.exists(lab.socket)
        assert not os.path.exists(f"{lab.run}/labkitd.pid")
        reader, writer = os.pipe()
        begin = time.monotonic()
        with self.daemon(
            lab, "--run", lab.run, "--ready-fd", str(writer), pass_fds=[writer]
        ) as process:
            os.close(writer)
            ready, _, _ = select.select([reader], [], [], TIMEOUT_S)
            assert ready, "no word from the daemon"
            assert os.read(reader, 100) == b"ready\n"
            assert time.monotonic() - begin < 2
            assert os.read(reader, 100) == b"", "the descriptor is closed, also in the spawner"
            os.close(reader)
            assert lab.daemon_pid() == process.pid
            assert os.stat(lab.socket).st_mode & 0o777 == 0o660
            _, shown = lab.api("GET", f"/containers/{container_id}/json")
            assert shown["State"]["Status"] == "running", "it outlived its daemon"
            lab.api("DELETE", f"/containers/{container_id}?force=1")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == 0
            assert b"Traceback" not in err

    def test_a_stale_socket_and_pid_file_stop_nobody(self, make_lab):
        lab = make_lab()
        lab.kill_daemon()
        assert os.path.exists(lab.socket)
        assert Path(lab.run, "labkitd.pid").exists()
        lab.start_daemon()
        assert lab.answers()
