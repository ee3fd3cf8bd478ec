"""`labkit`'s verbs of the whole life of a container, with a real daemon and real containers."""

import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from labkit.client import Client
from labkit.client.api import Api
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

TIMEOUT_S = 20.0


@pytest.fixture
def web(lab: Lab) -> Lab:
    """A container `web` that sleeps."""
    lab.cli("run", "-d", "--name", "web", "busybox", "sleep", "1000", check=True)
    return lab


def inspect(lab: Lab, name: str, template: str) -> str:
    return lab.cli("inspect", "-f", template, name, check=True).stdout.rstrip("\n")


# Standard input


def test_input_from_a_pipe(lab: Lab) -> None:
    text = "line\n" * 50_000
    done = lab.cli("run", "-i", "--rm", "busybox", "sh", "-c", "cat; exit 3", input=text)
    assert (done.returncode, done.stdout, done.stderr) == (3, text, "")


def test_a_half_close_ends_input_and_output_goes_on(lab: Lab) -> None:
    script = "wc -c; sleep 0.3; echo after"
    done = lab.cli("run", "-i", "--rm", "busybox", "sh", "-c", script, input="12345")
    assert done.stdout == "5\nafter\n"


def test_input_that_nobody_reads(lab: Lab) -> None:
    done = lab.cli("run", "-i", "--rm", "busybox", "true", input="x" * 5_000_000)
    assert (done.returncode, done.stderr) == (0, "")


def test_streams_are_chosen(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("", "err\n")


# exec


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        (["web", "echo", "hi"], 0, "hi\n"),
        (["web", "sh", "-c", "exit 7"], 7, ""),
        (["-e", "A=1", "-w", "/tmp", "web", "sh", "-c", "echo $A $PWD"], 0, "1 /tmp\n"),
        (["-u", "1000:1001", "web", "sh", "-c", "id -u; id -g"], 0, "1000\n1001\n"),
        (["web", "sh", "-c", "kill -9 $$"], 137, ""),
    ],
)
def test_exec(web: Lab, words: list[str], code: int, out: str) -> None:
    done = web.cli("exec", *words)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, "")


def test_exec_passes_input_on_and_keeps_streams_apart(web: Lab) -> None:
    done = web.cli("exec", "-i", "web", "sh", "-c", "cat; echo err >&2", input="in\n")
    assert (done.stdout, done.stderr) == ("in\n", "err\n")


def test_exec_in_the_background(web: Lab) -> None:
    done = web.cli("exec", "-d", "web", "sh", "-c", "echo done > /tmp/done")
    assert (done.returncode, done.stdout) == (0, "")
    deadline = time.monotonic() + TIMEOUT_S
    while web.cli("exec", "web", "cat", "/tmp/done").stdout != "done\n":
        assert time.monotonic() < deadline


def test_exec_of_what_cannot_run(web: Lab) -> None:
    done = web.cli("exec", "web", "nosuch")
    assert done.returncode == 127
    assert "executable file not found" in done.stdout + done.stderr
    web.cli("stop", "-t", "0", "web")
    done = web.cli("exec", "web", "true")
    assert done.returncode == 1
    assert "is not running" in done.stderr


# Its life


def test_pause_and_unpause(web: Lab) -> None:
    assert web.cli("pause", "web").stdout == "web\n"
    assert "(Paused)" in web.cli("ps").stdout
    assert web.cli("pause", "web").returncode == 1
    assert "paused container" in web.cli("attach", "web").stderr
    assert web.cli("unpause", "web").stdout == "web\n"
    assert inspect(web, "web", "{{.State.Status}}") == "running"


def test_restart_and_rename(web: Lab) -> None:
    before = inspect(web, "web", "{{.State.Pid}}")
    assert web.cli("restart", "-t", "0", "web").stdout == "web\n"
    assert inspect(web, "web", "{{.State.Pid}}") != before
    done = web.cli("rename", "web", "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert inspect(web, "site", "{{.Name}}") == "/site"


def test_update(web: Lab) -> None:
    words = ["-m", "100m", "--cpu-shares", "512", "--restart", "on-failure:3"]
    assert web.cli("update", *words, "web").stdout == "web\n"
    fields = "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{json .HostConfig.RestartPolicy}}"
    assert inspect(web, "web", fields) == (
        '104857600 512 {"Name":"on-failure","MaximumRetryCount":3}'
    )


def test_restart_policy(lab: Lab) -> None:
    words = ("--restart", "on-failure:2", "busybox", "sh", "-c", "exit 3")
    lab.cli("run", "-d", "--name", "failing", *words, check=True)
    deadline = time.monotonic() + TIMEOUT_S
    while inspect(lab, "failing", "{{.RestartCount}} {{.State.Status}}") != "2 exited":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_attach_without_a_terminal_passes_signals_on(lab: Lab) -> None:
    script = "trap 'echo caught; exit 3' TERM; while :; do echo tick; sleep 0.1; done"
    lab.cli("run", "-d", "--name", "ticking", "busybox", "sh", "-c", script, check=True)
    process = subprocess.Popen(
        lab.argv("attach", "ticking"), env=lab.env, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "tick\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert out.endswith("caught\n")
    assert process.returncode == 3
    assert "stopped container" in lab.cli("attach", "ticking").stderr


def test_start_a_shows_output_and_its_exit_code(lab: Lab) -> None:
    lab.cli("create", "--name", "later", "busybox", "sh", "-c", "echo hi; exit 5", check=True)
    for _ in range(2):
        done = lab.cli("start", "-a", "later")
        assert (done.returncode, done.stdout) == (5, "hi\n")


# Looking


def test_top_port_diff(web: Lab) -> None:
    titles, row = web.cli("top", "web", "-o", "pid,comm", check=True).stdout.splitlines()
    assert titles.split() == ["PID", "COMMAND"]
    assert row.split()[1] == "sleep"
    assert web.cli("port", "web").stdout == ""
    web.cli("exec", "web", "sh", "-c", "echo > /new; rm /etc/passwd", check=True)
    changes = web.cli("diff", "web", check=True).stdout.splitlines()
    assert {"A /new", "C /etc", "D /etc/passwd"} <= set(changes)


def test_stats(web: Lab) -> None:
    lines = web.cli("stats", "--no-stream", check=True).stdout.splitlines()
    assert len(lines) == 2
    assert re.match(r"CONTAINER ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O", lines[0])
    assert re.search(r" web +\d+\.\d\d% +[\d.]+[KM]iB / [\d.]+GiB ", lines[1])
    done = web.cli("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web")
    assert done.stdout == "web 1\n"
    assert web.cli("stats", "--no-stream", "nosuch").returncode == 1


def test_events(lab: Lab) -> None:
    began = time.time()
    lab.cli("run", "--rm", "--name", "short", "busybox", "true", check=True)
    words = ("--since", str(began), "--until", str(time.time()), "--filter", "container=short")
    lines = lab.cli("events", *words, check=True).stdout.splitlines()
    actions = [line.split()[2] for line in lines]
    assert [each for each in actions if each in ("create", "start", "die", "destroy")] == [
        *("create", "start", "die", "destroy")
    ]
    assert "name=short" in lines[0]
    done = lab.cli("events", *words, "--format", "{{.Action}}/{{.Actor.Attributes.name}}")
    assert "die/short" in done.stdout.splitlines()


def test_ps_formats(web: Lab) -> None:
    done = web.cli("ps", "--format", "table {{.ID}}\\t{{.Names}}\\t{{.State}}")
    assert [line.split()[-2:] for line in done.stdout.splitlines()] == [
        ["NAMES", "STATE"],
        ["web", "running"],
    ]
    assert json.loads(web.cli("ps", "--format", "json").stdout)["Names"] == "web"


def test_states(lab: Lab) -> None:
    lines = lab.cli("states", check=True).stdout.splitlines()
    assert lines[0].split() == ["IN", "STATE", "EVENT", "LEADS", "TO"]
    assert ["paused", "unpause", "running"] in [line.split() for line in lines]
    said = lab.cli("states", "--format", "{{.Before}} {{.Event}}: {{.Meaning}}").stdout
    assert "running pause: frozen" in said


def test_one_name_or_another(web: Lab) -> None:
    assert web.cli("container", "ls", "-q").stdout == web.cli("ps", "-q").stdout
    assert web.cli("container", "stop", "-t", "0", "web").stdout == "web\n"
    assert json.loads(web.cli("container", "inspect", "web").stdout)[0]["Name"] == "/web"


# Files


def test_cp_there_and_back(web: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(os.urandom(300_000))
    (folder / "link").symlink_to("inner/file")
    web.cli("cp", str(folder), "web:/there", check=True)  # a new name
    web.cli("cp", str(folder), "web:/tmp", check=True)  # into a folder
    web.cli("cp", f"{folder}/.", "web:/tmp", check=True)  # its content
    listed = web.cli("exec", "web", "find", "/there", "/tmp", check=True).stdout.split()
    for path in ("/there/inner/file", "/tmp/folder/inner/file", "/tmp/inner/file", "/tmp/link"):
        assert path in listed
    web.cli("cp", "web:/there", str(tmp_path / "back"), check=True)
    copied = tmp_path / "back"
    assert (copied / "inner/file").read_bytes() == (folder / "inner/file").read_bytes()
    assert os.readlink(copied / "link") == "inner/file"
    web.cli("cp", "web:/there/inner/file", str(tmp_path), check=True)
    assert (tmp_path / "file").stat().st_size == 300_000


def test_cp_as_archives(web: Lab, tmp_path: Path) -> None:
    done = web.cli("cp", "web:/etc/passwd", "-", text=False, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert archive.getnames() == ["passwd"]
    web.cli("cp", "-", "web:/tmp", text=False, input=done.stdout, check=True)
    assert "root" in web.cli("exec", "web", "cat", "/tmp/passwd").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web:/nosuch", "."], "Could not find the file /nosuch in container web"),
        (["nosuch:/etc", "."], "No such container: nosuch"),
        (["/nosuch", "web:/"], "cannot read /nosuch"),
        (["/etc", "web:/etc/passwd"], "cannot copy a directory"),
        (["web:/etc", "/nosuch/a"], "does not exist"),
        (["web:/a", "web:/b"], "copying between containers is not supported"),
        (["a", "b"], "must specify at least one container"),
    ],
)
def test_cp_mistakes(web: Lab, words: list[str], message: str) -> None:
    done = web.cli("cp", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_export(web: Lab, tmp_path: Path) -> None:
    web.cli("exec", "web", "sh", "-c", "echo mine > /mine", check=True)
    web.cli("export", "-o", str(tmp_path / "root.tar"), "web", check=True)
    with tarfile.open(tmp_path / "root.tar") as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert {"mine", "bin/busybox"} <= names
    assert os.listdir(tmp_path) == ["root.tar"]


# Volumes, and what else run takes


def test_volumes(lab: Lab, tmp_path: Path) -> None:
    assert lab.cli("volume", "create", "--label", "a=b", "data").stdout == "data\n"
    lab.cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f", check=True)
    (tmp_path / "mine").write_text("mine\n")
    words = ("-v", f"{tmp_path}:/here:ro", "--mount", "type=volume,src=data,dst=/d,readonly")
    script = "cat /d/f /here/mine; touch /d/x; touch /here/x"
    done = lab.cli("run", "--rm", *words, "--tmpfs", "/t:size=1m", "busybox", "sh", "-c", script)
    assert done.stdout == "kept\nmine\n"
    assert done.stderr.count("Read-only file system") == 2
    assert lab.cli("volume", "ls", "-q").stdout == "data\n"
    assert lab.cli("volume", "inspect", "-f", "{{.Labels.a}}", "data").stdout == "b\n"
    assert lab.cli("volume", "ls", "--format", '{{.Name}}={{.Label "a"}}').stdout == "data=b\n"
    assert "data" in lab.cli("volume", "prune", "-af").stdout
    assert lab.cli("volume", "rm", "data").returncode == 1


def test_prune_asks(lab: Lab) -> None:
    lab.cli("run", "--name", "old", "busybox", "true", check=True)
    done = lab.cli("container", "prune", input="n\n")
    assert "This will remove all stopped containers" in done.stdout
    assert len(lab.cli("ps", "-aq").stdout.split()) == 1
    done = lab.cli("container", "prune", input="y\n")
    assert "Total reclaimed space: " in done.stdout
    assert lab.cli("ps", "-aq").stdout == ""


def test_files_of_flags(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nA=1\n\nHOME_OF_US\n")
    (tmp_path / "labels").write_text("x=y\n")
    words = ("--env-file", f"{tmp_path}/env", "--label-file", f"{tmp_path}/labels")
    ids = ("--cidfile", f"{tmp_path}/id", "--name", "filed")
    env = lab.env | {"HOME_OF_US": "earth"}
    script = "echo $A $HOME_OF_US"
    done = lab.cli("run", *words, *ids, "busybox", "sh", "-c", script, env=env)
    assert done.stdout == "1 earth\n"
    assert inspect(lab, "filed", "{{.Config.Labels.x}}") == "y"
    assert (tmp_path / "id").read_text() == inspect(lab, "filed", "{{.Id}}")
    again = lab.cli("run", *ids, "busybox", "true")
    assert again.returncode == 125
    assert "container ID file found" in again.stderr


def test_a_failed_start_that_is_removed_still_explains(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "--explain", "busybox", "nosuch")
    assert done.returncode == 127
    assert "✗ ENOENT" in done.stderr
    assert lab.cli("ps", "-aq").stdout == ""


def test_a_start_still_explains_when_the_container_is_removed(lab: Lab) -> None:
    name = lab.cli("create", "--rm", "-v", "/data", "-p", "80", "busybox", "true").stdout.strip()
    api = Api(lab.socket)
    api.post(f"/containers/{name}/start")
    while lab.cli("ps", "-aq").stdout:
        time.sleep(0.02)
    steps = api.get(f"/containers/{name}/steps")
    assert {"network.cable", "pivot_root", "exec"} <= {step["Step"] for step in steps}
    assert all(step["DurationNs"] > 0 for step in steps)


# The Python client


def test_the_client_has_it_all(lab: Lab) -> None:
    with Client(lab.socket) as client:
        container = client.containers.run("busybox", ["sleep", "100"], detach=True, name="py")
        result = container.exec_run("sh -c 'echo out; echo err >&2; exit 3'", demux=True)
        assert result == (3, (b"out\n", b"err\n"))
        container.pause()
        container.reload()
        assert container.status == "paused"
        container.unpause()
        container.update(mem_limit="100m")
        container.rename("other")
        container.restart(timeout=0)
        container.reload()
        assert (container.name, container.attrs["HostConfig"]["Memory"]) == ("other", 100 << 20)
        container.exec_run(["touch", "/new"])
        assert {"Path": "/new", "Kind": 1} in container.diff()
        pieces, found = container.get_archive("/etc/hostname")
        assert found["name"] == "hostname"
        container.put_archive("/tmp", b"".join(pieces))
        assert container.exec_run(["ls", "/tmp"]).output == b"hostname\n"
        assert container.top()["Processes"]
        assert container.stats()["pids_stats"]["current"] == 1
        volume = client.volumes.create("books", labels={"a": "b"})
        assert client.volumes.list(filters={"label": "a=b"}) == [volume]
        volume.remove()
        container.stop(timeout=0)
        assert client.containers.prune()["ContainersDeleted"] == [container.id]


def test_a_network_that_is_missing_is_found_out_at_the_start(lab: Lab) -> None:
    """As in Docker: the container is made, and stays."""
    done = lab.cli("run", "--network", "nosuch", "--name", "alone", "busybox", "true")
    assert done.returncode == 125
    assert "network nosuch not found" in done.stderr
    assert lab.cli("inspect", "-f", "{{.State.Status}}", "alone").stdout == "created\n"
    done = lab.cli("run", "--rm", "--network", "nosuch", "busybox", "true")
    assert done.returncode == 125
    assert lab.cli("ps", "-aq").stdout.count("\n") == 1
