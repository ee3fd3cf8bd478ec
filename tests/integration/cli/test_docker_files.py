"""The real docker command: volumes, mounts, cp, export, diff, prune."""

import io
import os
import subprocess
import tarfile

import pytest

from tests.peers.clients import docker_commands

pytestmark = pytest.mark.root


class Cli:
    """One version of the docker command, with a configuration of its own."""

    def __init__(self, program, lab, folder):
        self.program = program
        self.env = os.environ | {
            "DOCKER_HOST": f"unix://{lab.socket}",
            "DOCKER_CONFIG": f"{folder}/config",
        }

    def __call__(self, *words, code=0):
        """Standard output if all went well, standard error if it was not to."""
        done = subprocess.run(
            [self.program, *words], env=self.env, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return (done.stderr if code else done.stdout).decode(errors="replace")

    def run(self, *words):
        return self("run", "--rm", "--network", "none", *words)


@pytest.fixture(params=docker_commands() or ["docker"])
def docker(request, lab, tmp_path):
    cli = Cli(request.param, lab, tmp_path)
    yield cli
    for container in cli("ps", "-aq").split():
        cli("rm", "-fv", container)
    for volume in cli("volume", "ls", "-q").split():
        cli("volume", "rm", volume)


def test_volumes(docker):
    others = docker("volume", "ls", "-q").split()
    assert docker("volume", "create", "--label", "a=b", "data") == "data\n"
    docker.run("-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f")
    mount = "type=volume,source=data,target=/d,readonly"
    assert docker.run("--mount", mount, "busybox", "cat", "/d/f") == "kept\n"
    docker(
        "create", "--name", "user", "--network", "none", "-v", "data:/d", "-v", "/anon", "busybox"
    )
    assert "volume is in use" in docker("volume", "rm", "data", code=1)
    assert len(docker("volume", "ls", "-q").split()) == len(others) + 2
    docker("rm", "-v", "user")
    assert docker("volume", "ls", "-q", "--filter", "label=a") == "data\n"
    shown = docker("volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Labels}}", "data")
    assert shown == "data local map[a:b]\n"
    assert docker("volume", "rm", "data") == "data\n"
    assert "o such volume" in docker("volume", "inspect", "data", code=1)
    name = docker("volume", "create").strip()
    assert name in docker("volume", "prune", "-f")


def test_binds_and_tmpfs(docker, tmp_path):
    assert docker.run("-v", f"{tmp_path}/new:/b", "busybox", "touch", "/b/made") == ""
    assert os.listdir(tmp_path / "new") == ["made"]
    script = "df -k /t /u | awk 'NR>1 {print $2, $6}'"
    tmpfs = ("--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,target=/u,tmpfs-size=2m")
    assert docker.run(*tmpfs, "busybox", "sh", "-c", script) == "1024 /t\n2048 /u\n"
    missing = f"type=bind,source={tmp_path}/not,target=/b"
    words = ("run", "--rm", "--network", "none", "--mount", missing, "busybox", "true")
    assert "bind source path does not exist" in docker(*words, code=125)


def test_cp_diff_and_export(docker, tmp_path):
    script = "mkdir /new; echo 1 > /new/a; rm /bin/vi; ln -s /new /lnk"
    docker("run", "--name", "c1", "--network", "none", "busybox", "sh", "-c", script)
    assert docker("diff", "c1") == "C /bin\nD /bin/vi\nA /lnk\nA /new\nA /new/a\n"
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/f").write_text("in")
    docker("cp", f"{tmp_path}/tree", "c1:/lnk/renamed")
    docker("cp", "c1:/new/renamed/.", f"{tmp_path}/out")
    assert (tmp_path / "out/sub/f").read_text() == "in"
    docker("cp", "-L", "c1:/lnk", f"{tmp_path}/followed")
    assert sorted(os.listdir(tmp_path / "followed")) == ["a", "renamed"]
    docker("cp", "c1:/lnk", f"{tmp_path}/link")
    assert os.readlink(tmp_path / "link") == "/new"
    docker("cp", "c1:/nosuch", f"{tmp_path}/x", code=1)
    docker("export", "-o", f"{tmp_path}/all.tar", "c1")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "all.tar").read_bytes())) as tar:
        assert {"new/renamed/sub/f", "bin/busybox"} <= set(tar.getnames())
    assert docker("container", "prune", "-f").startswith("Deleted Containers:\n")
    assert docker("ps", "-aq") == ""
