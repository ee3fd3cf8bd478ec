"""A labkitd whose containers have users of their own (`--userns-remap`), through its clients."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def remapped(make_lab):
    lab = make_lab()
    lab.stop_daemon()
    lab.start_daemon("--userns-remap", "default")
    return lab


def said(lab, *words, **options):
    done = lab.cli(*words, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def daemon(lab, *options):
    """A labkitd that is not to start."""
    return subprocess.run(
        lab.argv("daemon", *options),
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def outside(lab, *words):
    return int(said(lab, "run", "--rm", *words, "busybox", "cat", "/proc/self/uid_map").split()[1])


def test_all_containers_but_those_that_say_host(remapped):
    assert outside(remapped) >= 100000
    assert outside(remapped, "--userns", "host") == 0
    assert "name=userns" in said(remapped, "info")
    failed = remapped.cli("run", "--rm", "--privileged", "busybox", "true")
    assert (failed.returncode, "incompatible with user namespaces" in failed.stderr) == (125, True)
    assert outside(remapped, "--privileged", "--userns", "host") == 0


def test_explained(remapped):
    steps = remapped.cli("run", "--rm", "--explain", "busybox", "true").stderr
    assert "mount.idmap" in steps
    assert "uid_map" in steps


def test_what_is_made_in_one_is_anybody_s(remapped):
    """Images, commits and volumes have the container's numbers, whoever made them."""
    dockerfile = "FROM busybox\nRUN echo made > /made && chown 7:8 /made\nUSER 7\n"
    said(remapped, "build", "-t", "built", "-", input=dockerfile)
    show = ("stat", "-c", "%u:%g", "/made")
    assert said(remapped, "run", "--rm", "--userns", "host", "built", *show) == "7:8\n"
    assert said(remapped, "run", "--rm", "built", *show) == "7:8\n"
    change = "mkdir /var/x && chown 9:9 /var/x && cat /made"
    said(remapped, "run", "--name", "changed", "-u", "0", "built", "sh", "-c", change)
    said(remapped, "commit", "changed", "committed")
    show = ("stat", "-c", "%u:%g", "/var/x")
    assert said(remapped, "run", "--rm", "--userns", "host", "committed", *show) == "9:9\n"


def test_a_secret_of_a_build_can_be_read(remapped, tmp_path):
    (tmp_path / "secret").write_text("hidden")
    dockerfile = "FROM busybox\nRUN --mount=type=secret,id=s,uid=7 stat -c %u /run/secrets/s\n"
    secret = ("--secret", f"id=s,src={tmp_path}/secret")
    assert "\n7\n" in said(remapped, "build", *secret, "-", input=dockerfile)


def test_a_later_daemon_maps_none_and_finds_what_runs(remapped, tmp_path):
    said(remapped, "run", "-d", "--name", "mapped", "busybox", "sleep", "100")
    remapped.stop_daemon()
    remapped.start_daemon()
    assert said(remapped, "exec", "mapped", "sh", "-c", "echo x > /x; id -u") == "0\n"
    (tmp_path / "file").write_text("text")
    said(remapped, "cp", str(tmp_path / "file"), "mapped:/file")
    assert said(remapped, "exec", "mapped", "stat", "-c", "%u", "/x", "/file") == "0\n0\n"
    said(remapped, "restart", "-t", "0", "mapped")
    assert said(remapped, "exec", "mapped", "cat", "/proc/1/uid_map").split()[1] == "0"
    assert said(remapped, "exec", "mapped", "stat", "-c", "%u", "/x", "/file") == "0\n0\n"


def test_on_a_network(remapped):
    said(remapped, "network", "create", "net")
    script = "echo hello | nc -l -p 80"
    said(
        remapped, "run", "-d", "--name", "giver", "--network", "net", "busybox", "sh", "-c", script
    )
    address = said(
        remapped, "inspect", "-f", '{{(index .NetworkSettings.Networks "net").IPAddress}}', "giver"
    ).strip()
    script = f"until nc {address} 80; do sleep 0.1; done"
    answer = said(remapped, "run", "--rm", "--network", "net", "busybox", "sh", "-c", script)
    assert answer == "hello\n"


def test_by_the_file_or_the_option(make_lab):
    lab = make_lab()
    Path(lab.root, "daemon.json").write_text('{"userns-remap": "default"}')
    lab.stop_daemon()
    lab.start_daemon()
    assert outside(lab) >= 100000
    lab.stop_daemon()
    done = daemon(lab, "--userns-remap", "root")
    assert "specified both as a flag and in the configuration file" in done.stderr


def test_no_such_user(make_lab):
    lab = make_lab()
    lab.stop_daemon()
    done = daemon(lab, "--userns-remap", "nobody-at-all")
    assert done.returncode == 1
    assert "there is no user nobody-at-all on this host" in done.stderr


def test_the_processes_on_the_host_are_an_ordinary_user_s(remapped):
    said(remapped, "run", "-d", "--name", "mapped", "busybox", "sleep", "100")
    uid = said(remapped, "top", "mapped", "-eo", "pid,uid").split()[-1]
    assert int(uid) >= 100000
    pid = said(remapped, "inspect", "-f", "{{.State.Pid}}", "mapped").strip()
    assert os.stat(f"/proc/{pid}").st_uid == int(uid)

    assert Path(f"/proc/{pid}/gid_map").read_text().split() == ["0", uid, "65536"]
