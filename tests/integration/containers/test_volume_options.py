"""Volumes that are file systems, parts of volumes, and how mounts spread."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root


@pytest.fixture
def volumes(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()
    lab.cli("volume", "prune", "-a", "-f", check=True)


@pytest.fixture
def shared(tmp_path) -> Iterator[Path]:
    """A mount of the host's to which, and from which, mounts spread."""
    subprocess.run(["mount", "-t", "tmpfs", "shared", tmp_path], check=True)
    subprocess.run(["mount", "--make-shared", tmp_path], check=True)
    (tmp_path / "below").mkdir()
    yield tmp_path
    subprocess.run(["umount", "-R", tmp_path], check=True)


def run(lab: Lab, *words: str, script: str) -> str:
    image = ("--network", "none", "busybox", "sh", "-c", script)
    return lab.cli("run", "--rm", *words, *image, check=True).stdout.strip()


def mounted(lab: Lab) -> int:
    return Path("/proc/self/mountinfo").read_text().count(f"{lab.root}/volumes/")


def test_a_volume_in_memory_lives_as_long_as_a_container_uses_it(volumes):
    lab = volumes
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=99")
    lab.cli("volume", "create", *options, "memory", check=True)
    lab.cli("run", "-d", "--name", "first", "-v", "memory:/v", "--network", "none", "busybox",
            *("sh", "-c", "echo kept > /v/file; sleep 600"), check=True)  # fmt: skip
    found = run(lab, "-v", "memory:/v", script="until cat /v/file; do :; done; ls -lnd /v")
    assert found.split()[0] == "kept"
    assert found.split()[3] == "99"
    assert mounted(lab) == 1
    lab.stop_daemon()
    lab.start_daemon()
    lab.cli("rm", "-f", "first", check=True)
    assert mounted(lab) == 0
    assert run(lab, "-v", "memory:/v", script="ls /v") == ""
    status, shown = lab.api("GET", "/volumes/memory")
    assert (status, shown["Options"]["o"]) == (200, "size=1m,uid=99")


def test_a_volume_that_is_a_folder_of_the_host(volumes, tmp_path):
    lab = volumes
    (tmp_path / "file").write_text("hosts")
    options = ("-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro")
    lab.cli("volume", "create", *options, "folder", check=True)
    assert run(lab, "-v", "folder:/v", script="cat /v/file; touch /v/x || echo no") == "hostsno"
    assert mounted(lab) == 0
    lab.cli("volume", "rm", "folder", check=True)
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"type": "tmpfs"}, 'missing required option: "device"'), ({"a": "b"}, 'invalid option: "a"'),
     ({"size": "1m"}, "no quota support")],
)  # fmt: skip
def test_options_that_make_no_file_system(volumes, options, words):
    status, answer = volumes.api("POST", "/volumes/create", {"Name": "x1", "DriverOpts": options})
    assert (status, words in answer["message"]) == (400, True), answer


def test_a_mount_that_fails_is_said_at_the_start(volumes):
    lab = volumes
    options = {"type": "none", "device": "/no/such", "o": "bind"}
    lab.api("POST", "/volumes/create", {"Name": "lost", "DriverOpts": options})
    done = lab.cli("run", "--rm", "-v", "lost:/v", "busybox", "true")
    assert done.returncode == 125
    assert "failed to mount local volume" in done.stderr
    assert mounted(lab) == 0


def test_a_part_of_a_volume(volumes):
    lab = volumes
    run(lab, "-v", "parts:/v", script="mkdir /v/one; echo x > /v/one/file; ln -s / /v/out")
    part = {"Type": "volume", "Source": "parts", "Target": "/p"}

    def start(subpath: str) -> tuple[int, str]:
        mount = part | {"VolumeOptions": {"Subpath": subpath}}
        body = {"Image": "busybox", "Cmd": ["ls", "/p"],
                "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}  # fmt: skip
        status, answer = lab.api("POST", "/containers/create", body)
        if status != 201:
            return status, answer["message"]
        done = lab.cli("start", "-a", answer["Id"])
        return done.returncode, done.stdout

    assert start("one") == (0, "file\n")
    assert start("../x")[0] == 400
    assert start("none")[0] == 1
    # A link leads within the volume, not to the host.
    assert start("out") == (0, "one\nout\n")


def test_words_for_other_systems_are_taken(volumes, tmp_path):
    for word in ("cached", "delegated", "consistent", "ro,cached"):
        assert run(volumes, "-v", f"{tmp_path}:/x:{word}", script="ls /x") == ""


def test_a_bind_without_what_is_mounted_below(volumes, shared):
    lab = volumes
    subprocess.run(["mount", "-t", "tmpfs", "more", shared / "below"], check=True)
    (shared / "below" / "file").touch()
    body = {"Image": "busybox", "Cmd": ["ls", "/x/below"]}
    for alone, seen in ((False, "file\n"), (True, "")):
        mount = {"Type": "bind", "Source": str(shared), "Target": "/x",
                 "BindOptions": {"NonRecursive": alone}}  # fmt: skip
        host = {"NetworkMode": "none", "Mounts": [mount]}
        container = lab.api("POST", "/containers/create", {**body, "HostConfig": host})[1]["Id"]
        assert lab.cli("start", "-a", container).stdout == seen


@pytest.mark.parametrize("word", ["rslave", "rshared", "slave"])
def test_mounts_of_the_host_spread_into_a_container(volumes, shared, word):
    lab = volumes
    lab.cli("run", "-d", "--name", "seeing", "--network", "none", "-v", f"{shared}:/x:{word}",
            "busybox", "sleep", "600", check=True)  # fmt: skip
    subprocess.run(["mount", "-t", "tmpfs", "later", shared / "below"], check=True)
    (shared / "below" / "file").touch()
    assert lab.cli("exec", "seeing", "ls", "/x/below").stdout == "file\n"
    (mount,) = lab.api("GET", "/containers/seeing/json")[1]["Mounts"]
    assert mount["Propagation"] == word
    lab.cli("rm", "-f", "seeing", check=True)


def test_a_containers_mounts_spread_to_the_host_if_they_are_shared(volumes, shared):
    lab = volumes
    script = "mount -t tmpfs inner /x/below && touch /x/below/file"
    run(lab, "--privileged", "-v", f"{shared}:/x:rshared", script=script)
    assert os.listdir(shared / "below") == ["file"]


def test_what_cannot_spread_is_said(volumes, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "--make-private", "own", tmp_path], check=True)
    try:
        done = volumes.cli("run", "--rm", "-v", f"{tmp_path}:/x:rshared", "busybox", "true")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert done.returncode == 125
    assert "but it is not a shared mount" in done.stderr


def test_owners_are_kept_by_a_copy_for_a_container_without_a_user(volumes, tmp_path):
    lab = volumes
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 1234, 555)
    lab.cli("create", "--name", "kept", "busybox", "stat", "-c", "%u:%g", "/a", "/b", check=True)
    lab.cli("cp", "-a", str(tmp_path / "file"), "kept:/a", check=True)
    lab.cli("cp", str(tmp_path / "file"), "kept:/b", check=True)
    assert lab.cli("start", "-a", "kept").stdout == "1234:555\n1234:555\n"


def test_a_volume_whose_folder_is_gone_can_be_removed(volumes):
    lab = volumes
    lab.cli("volume", "create", "gone", check=True)
    subprocess.run(["rm", "-r", f"{lab.root}/volumes/gone"], check=True)
    lab.cli("volume", "rm", "gone", check=True)


def test_an_images_files_are_shown_read_only(volumes):
    lab = volumes
    status, made = lab.api("POST", "/containers/create?name=maker", {"Image": "busybox", "Cmd": [
        "sh", "-c", "mkdir -p /data/in; echo upper > /data/in/file; rm /bin/vi"]})  # fmt: skip
    assert status == 201, made
    lab.cli("start", "-a", "maker", check=True)
    lab.cli("commit", "maker", "shown", check=True)

    def start(script: str, **options: object) -> str:
        mount = {"Type": "image", "Source": "shown", "Target": "/i", **options}
        body = {"Image": "busybox", "Cmd": ["sh", "-c", script],
                "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}  # fmt: skip
        status, answer = lab.api("POST", "/containers/create", body)
        assert status == 201, answer
        return lab.cli("start", "-a", answer["Id"]).stdout

    script = "cat /i/data/in/file; ls /i/bin/vi /i/bin/ls; touch /i/x || echo no"
    assert start(script) == "upper\n/i/bin/ls\nno\n"
    assert start("ls /i", ImageOptions={"Subpath": "data/in"}) == "file\n"
    assert Path("/proc/self/mountinfo").read_text().count("/merged ") == 0
    assert lab.cli("rmi", "shown").returncode == 1
    mount = {"Type": "image", "Source": "nosuch", "Target": "/i"}
    body = {"Image": "busybox", "HostConfig": {"Mounts": [mount]}}
    status, answer = lab.api("POST", "/containers/create", body)
    assert (status, "No such image: nosuch" in answer["message"]) == (400, True), answer
    lab.remove_containers()
    lab.cli("rmi", "shown", check=True)
