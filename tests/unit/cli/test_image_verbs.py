"""The verbs for images: what they ask of the engine, and what they print."""

import json
import time
from pathlib import Path

import pytest

from tests.unit.client.stand_in import chunk, chunked_head

ID = "sha256:" + "cd" * 32
CREATED_S = 1_700_000_000


def query(labkit, number: int = 0) -> str:
    return labkit.daemon.requests[number].target.partition("?")[2]


def test_history(labkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: CREATED_S + 7200.0)
    line = {"Id": ID, "Created": CREATED_S, "CreatedBy": "x\t" * 40, "Size": 4_262_000}
    labkit.routes["GET /images/busybox/history"] = [line | {"Comment": "hi", "Tags": None}]
    heading, row = labkit("history", "busybox").out.splitlines()
    assert heading.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert row == f"cdcdcdcdcdcd   2 hours ago   {'x ' * 22}…   4.26MB    hi"
    assert labkit("history", "-q", "--no-trunc", "busybox").out == f"{ID}\n"
    plain = labkit("history", "-H=false", "busybox").out.splitlines()[1]
    assert "   4262000   " in plain
    assert "2023-11-1" in plain
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    form = ("history", "--format", "{{.CreatedAt}}", "busybox")
    assert labkit(*form).out == "2023-11-14T22:13:20Z\n"
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    assert labkit(*form).out == "2023-11-14T17:13:20-05:00\n"
    monkeypatch.delenv("TZ")
    time.tzset()


def test_tag_commit_and_rmi_ask(labkit) -> None:
    no_content = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    labkit.routes["POST /images/a/tag"] = no_content
    assert labkit("tag", "a", "host:5000/b:2") == (0, "", "")
    assert query(labkit) == "repo=host%3A5000%2Fb&tag=2"
    labkit.routes["POST /commit"] = {"Id": ID}
    done = labkit("commit", "-a", "Ann", "-c", "CMD x", "-m", "m", "-p=false", "web", "b")
    assert done.out == f"{ID}\n"
    assert query(labkit, 1) == "container=web&repo=b&author=Ann&comment=m&changes=CMD%20x&pause=0"
    labkit.routes["DELETE /images/a"] = [{"Untagged": "a:latest"}, {"Deleted": ID}]
    done = labkit("rmi", "-f", "--no-prune", "a", "b")
    assert done.out == f"Untagged: a:latest\nDeleted: {ID}\n"
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert query(labkit, 2) == "force=1&noprune=1"
    assert labkit("rmi", "a", "b").code == 1


def test_load_prints_what_is_there(labkit, tmp_path: Path) -> None:
    said = b'{"status":"Loading layer"}\r\n{"stream":"Loaded image: a:1\\n"}\r\n'
    labkit.routes["POST /images/load"] = chunked_head() + chunk(said) + chunk(b"")
    (tmp_path / "x.tar").write_bytes(b"archive")
    assert labkit("load", "-i", str(tmp_path / "x.tar")).out == "Loaded image: a:1\n"
    assert "cannot read" in labkit("load", "-i", "/no/such/file").err


def test_df_of_everything(labkit) -> None:
    image = {"Id": ID, "RepoTags": ["a:1"], "Created": 0, "Containers": 1}
    container = {
        **{"Id": "c" * 64, "Image": "a:1", "Command": "sh", "Created": 0, "Names": ["/one"]},
        **{"Status": "Created", "State": "created", "SizeRw": 7, "SizeRootFs": 4_000_007},
    }
    labkit.routes["GET /system/df"] = {
        "LayersSize": 4_000_000,
        "Images": [{**image, "Size": 4_000_000, "SharedSize": 1_000_000}],
        "Containers": [container],
        "Volumes": [{"Name": "v", "UsageData": {"RefCount": 2, "Size": 5000}}],
        "BuildCache": [],
    }
    said = labkit("system", "df", "-v")
    parts = [line.split() for line in said.out.splitlines() if line]
    assert parts[0] == ["Images", "space", "usage:"]
    assert parts[2][:2] == ["a", "1"]
    assert parts[2][-4:] == ["4MB", "1MB", "3MB", "1"]
    assert parts[5][:5] == ["c" * 12, "a:1", '"sh"', "0", "7B"]
    assert parts[8] == ["v", "2", "5kB"]
    assert parts[9] == ["Build", "cache", "usage:", "0B"]
    both = labkit("system", "df", "-v", "--format", "json")
    assert both.code != 0
    assert "not both" in both.err


def test_an_image_as_json(labkit) -> None:
    image = {"Id": ID, "RepoTags": ["a:1"], "RepoDigests": [], "Created": 0, "Size": 4_000_000}
    labkit.routes["GET /images/json"] = [image]
    fields = json.loads(labkit("images", "--format", "{{json .}}").out)
    assert (fields["Repository"], fields["Size"], fields["VirtualSize"]) == ("a", "4MB", "4MB")
    assert {fields[name] for name in ("Containers", "SharedSize", "UniqueSize")} == {"N/A"}


def test_prune_and_df(labkit) -> None:
    deleted = [{"Untagged": "a:1"}, {"Deleted": ID}]
    labkit.routes["POST /images/prune"] = {"ImagesDeleted": deleted, "SpaceReclaimed": 3_000_000}
    assert labkit("image", "prune", "-a", "-f").out == (
        f"Deleted Images:\nuntagged: a:1\ndeleted: {ID}\n\nTotal reclaimed space: 3MB\n"
    )
    labkit.routes["GET /system/df"] = {
        "LayersSize": 5_000_000,
        "Images": [
            {"Containers": 1, "Size": 4_000_000, "SharedSize": 1_000_000},
            {"Containers": 0, "Size": 2_000_000, "SharedSize": 1_000_000},
        ],
        "Containers": [{"State": "exited", "SizeRw": 10}, {"State": "running", "SizeRw": 30}],
        "Volumes": None,
        "BuildCache": None,
    }
    rows = [line.split() for line in labkit("system", "df").out.splitlines()]
    assert rows[0] == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert rows[1] == ["Images", "2", "1", "5MB", "2MB", "(40%)"]
    assert rows[2] == ["Containers", "2", "1", "40B", "10B", "(25%)"]
    assert rows[3] == ["Local", "Volumes", "0", "0", "0B", "0B"]
