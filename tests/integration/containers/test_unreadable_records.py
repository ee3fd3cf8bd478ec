"""One record that cannot be read stops nothing: it is set aside and named, the rest goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api import create, run
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

DAMAGES = {
    "empty": b"",
    "cut": b'{"Id": "12',
    "another kind": b"[]",
    "not UTF-8": b'{"Id": "\xff\xfe"}',
    "deep": b"[" * 100_000,
}


@pytest.fixture
def lab(make_lab):
    return make_lab()


def restarted(lab: Lab) -> str:
    """Start the daemon again; what its log says that it had not said before."""
    log = Path(lab.folder, "labkitd.log")
    before = log.stat().st_size
    lab.start_daemon()
    return log.read_bytes()[before:].decode()


def spoil(path: Path, damage: bytes) -> None:
    """Put this in the place of a file, which other labs of the run may share by a hard link."""
    path.unlink()
    path.write_bytes(damage)


def doctor(lab: Lab) -> str:
    findings = json.loads(lab.cli("doctor", "--json").stdout)["Findings"]
    return next(found["Detail"] for found in findings if found["Name"] == "records")


def set_aside(lab: Lab) -> list[str]:
    folder = f"{lab.root}/set-aside"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_records_of_every_kind(lab, damage):
    good = run(lab, "sleep", "100", HostConfig={"Binds": ["good:/v"], "NetworkMode": "bridge"})
    odd = create(lab, "true", HostConfig={"Binds": ["odd:/v"], "NetworkMode": "none"})
    lab.cli("network", "create", "good-net", check=True)
    network = lab.cli("network", "create", "odd-net", check=True).stdout.strip()
    lab.stop_daemon()
    paths = {
        f"containers/{odd}/container.json": f"containers-{odd}",
        "volumes/odd/volume.json": "volumes-odd",
        f"networks/{network}.json": f"networks-{network}.json",
    }
    for path in paths:
        spoil(Path(lab.root, path), damage)
    said = restarted(lab)
    assert set_aside(lab) == sorted(paths.values())
    for path in paths.values():
        assert f"{lab.root}/set-aside/{path}" in said
        assert path in doctor(lab)
    assert Path(lab.root, "set-aside", f"containers-{odd}", "container.json").read_bytes() == damage
    assert lab.cli("ps", "-aq", "--no-trunc").stdout.split() == [good]
    assert lab.cli("volume", "ls", "-q").stdout.split() == ["good"]
    names = lab.cli("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert names == ["bridge", "good-net", "host", "none"]
    assert lab.api("GET", f"/containers/{good}/json")[1]["State"]["Running"]
    # The names are free.
    lab.cli("network", "create", "odd-net", check=True)
    lab.cli("volume", "create", "odd", check=True)
    lab.stop_daemon()
    assert "set aside" not in restarted(lab), "it is said once"
    assert "containers-" in doctor(lab), "the doctor says it as long as it is so"


def test_a_running_container_whose_record_is_damaged_ends_and_the_rest_runs_on(lab):
    good, odd = run(lab, "sleep", "100"), run(lab, "sleep", "100")
    lab.kill_daemon()
    spoil(Path(lab.root, f"containers/{odd}/container.json"), b"")
    said = restarted(lab)
    assert f"containers-{odd}" in said
    assert lab.api("GET", f"/containers/{good}/json")[1]["State"]["Running"]
    assert lab.api("GET", f"/containers/{odd}/json")[0] == 404


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_an_exit_status(lab, damage):
    odd, good = run(lab, "true"), run(lab, "sh", "-c", "exit 7")
    for one in (odd, good):
        lab.api("POST", f"/containers/{one}/wait")
    lab.stop_daemon()
    spoil(Path(lab.root, f"containers/{odd}/exit.json"), damage)
    said = restarted(lab)
    assert f"set-aside/containers-{odd}-exit.json" in said
    assert lab.api("GET", f"/containers/{good}/json")[1]["State"]["ExitCode"] == 7
    assert lab.api("GET", f"/containers/{odd}/json")[1]["State"]["Status"] == "exited"
    assert lab.api("POST", f"/containers/{odd}/start")[0] == 204, "it starts again"


def test_what_is_not_labkits_stays_where_it_is(lab):
    lab.stop_daemon()
    odd = [f"{lab.root}/{kind}/lost+found" for kind in ("containers", "volumes", "networks")]
    for path in [*odd, f"{lab.root}/staging/lost+found"]:
        os.mkdir(path)
        Path(path, "file").write_text("kept")
    Path(lab.root, "staging/a file").write_text("kept")
    said = restarted(lab)
    for path in odd:
        assert f"{path} is not labkit's" in said
    for path in [*odd, f"{lab.root}/staging/lost+found"]:
        assert Path(path, "file").read_text() == "kept"
    assert set_aside(lab) == []
    assert run(lab, "true")


def test_a_container_without_a_record_but_with_files_is_kept(lab):
    container_id = run(lab, "touch", "/mine")
    lab.api("POST", f"/containers/{container_id}/wait")
    lab.stop_daemon()
    Path(lab.root, f"containers/{container_id}/container.json").unlink()
    restarted(lab)
    assert set_aside(lab) == [f"containers-{container_id}"]
    assert Path(lab.root, "set-aside", f"containers-{container_id}", "upper/mine").exists()


def test_a_copy_of_a_container_is_no_second_one(lab):
    container_id = create(lab, "true")
    lab.stop_daemon()
    copy = f"{lab.root}/containers/{'c' * 64}"
    subprocess.run(["cp", "-a", f"{lab.root}/containers/{container_id}", copy], check=True)
    restarted(lab)
    assert set_aside(lab) == [f"containers-{'c' * 64}"]
    assert lab.cli("ps", "-aq", "--no-trunc").stdout.split() == [container_id]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_index_of_images(lab, damage):
    container_id = create(lab, "echo", "still here")
    lab.stop_daemon()
    spoil(Path(lab.root, "images/index.json"), damage)
    said = restarted(lab)
    assert "set-aside/images-index.json" in said
    assert len(lab.api("GET", "/images/json")[1]) == 1
    assert lab.cli("start", "-a", container_id).stdout == "still here\n"
    assert lab.cli("images", "-q").stdout.strip()


@pytest.mark.host_power("root's files")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_notes_of_work_that_was_killed(lab, damage):
    lab.stop_daemon()
    folder = Path(lab.root, "staging/tmpkilled")
    folder.mkdir()
    folder.joinpath("claim.json").write_bytes(damage)
    for note in Path(lab.root, "layers").glob("*.json"):
        spoil(note, damage)
    restarted(lab)
    assert not folder.exists()
    assert run(lab, "true")
    assert lab.api("GET", "/images/json")[0] == 200
    assert lab.api("GET", "/system/df")[0] == 200


@pytest.mark.host_power("root's files")
def test_a_setting_that_cannot_be_read_is_named(lab):
    lab.stop_daemon()
    path = Path(lab.root, "daemon.json")
    path.write_text('{"userns-remap": ')
    daemon = subprocess.run(
        [sys.executable, "-m", "labkit.daemon", "--root", lab.root, "--run", lab.run],
        env=lab.env,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert daemon.returncode == 1
    assert str(path) in daemon.stderr
    assert daemon.stderr.count("\n") == 1, "its author is told, and nothing is done without it"
    path.unlink()
