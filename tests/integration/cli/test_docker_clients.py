"""docker's own commands and docker-py drive a real daemon, unchanged."""

import json
import os
import struct
import subprocess
import time
from collections.abc import Iterator

import docker
import pytest

from tests.api import TIMEOUT_S
from tests.peers.clients import docker_commands

pytestmark = pytest.mark.root


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

    def test_the_default_network_has_an_interface(self, docker_cli):
        code, out, err = docker_cli(
            "run", "--rm", "busybox", "cat", "/sys/class/net/eth0/operstate"
        )
        assert (code, out, err) == (0, "up\n", "")

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
            (("--cap-add", "SYS_ADMIN", "busybox", "true"), 0),
            (("--cap-add", "NOSUCH", "busybox", "true"), 125),
            (("--privileged", "busybox", "mount", "-t", "tmpfs", "none", "/dev/shm"), 0),
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
        deadline = time.monotonic() + 20
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
        assert client.version()["ApiVersion"] == "1.51"
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
        with pytest.raises(docker.errors.APIError, match=r"unknown capability: \"CAP_FLY\""):
            client.containers.run("busybox", "true", cap_add=["FLY"], network_mode="none")

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

    def test_the_life_of_a_container(self, client):
        container = client.containers.run(
            "busybox", ["sleep", "100"], detach=True, network_mode="none", name="living"
        )
        code, (out, err) = container.exec_run(
            ["sh", "-c", "echo a; echo b >&2; exit 3"], demux=True
        )
        assert (code, out, err) == (3, b"a\n", b"b\n")
        container.pause()
        container.reload()
        assert container.status == "paused"
        container.unpause()
        container.rename("lives")
        container.update(mem_limit="64m", memswap_limit="64m")
        assert container.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
        assert container.top()["Processes"][0][-1] == "sleep 100"
        container.restart(timeout=0)
        container.reload()
        assert (container.name, container.status) == ("lives", "running")
        container.remove(force=True)

    def test_networks(self, client):
        assert {network.name for network in client.networks.list()} == {"bridge", "none", "host"}
        assert client.networks.get("host").attrs["Driver"] == "host"
