"""commit, history, tag, rmi, images, save, load, prune, df: typed by a user, really done."""

import functools
import http.server
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.client import Client
from labkit.images import ImageStore
from tests.images import archive, entry
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root


@pytest.fixture
def lab(make_lab: Callable[[], Lab]) -> Lab:
    """One of the test's own, with nothing in it but busybox."""
    return make_lab()


def image(lab: Lab, name: str) -> dict[str, object]:
    status, found = lab.api("GET", f"/images/{name}/json")
    assert status == 200, found
    return found


def out(lab: Lab, *words: str, **more: object) -> str:
    done = lab.cli(*words, **more)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def commit(lab: Lab, script: str, *words: str) -> str:
    """Run a script in a new container of busybox, commit it, remove it; the image's id."""
    container = out(lab, "create", "--network", "none", "busybox", "sh", "-c", script).strip()
    out(lab, "start", container)
    out(lab, "wait", container)
    made = out(lab, "commit", *words[:-1], container, words[-1]).strip()
    out(lab, "rm", container)
    return made


def test_a_commit_keeps_what_the_container_changed(lab: Lab) -> None:
    script = "echo new > /new; rm /etc/passwd; mkdir -p /a/b; chmod 700 /tmp; ln /new /also"
    made = commit(
        lab,
        script,
        *("-a", "Ann", "-m", "a note", "-c", 'CMD ["cat", "/new"]', "-c", "ENV GREETING=hi"),
        "tool:1",
    )
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", made)
    assert out(lab, "run", "--rm", "--network", "none", "tool:1") == "new\n"
    looked = "ls /etc/passwd; stat -c '%a %h' /tmp /also; echo $GREETING; ls /a"
    done = lab.cli("run", "--rm", "--network", "none", "tool:1", "sh", "-c", looked)
    assert done.stdout.split() == ["700", "1", "644", "2", "hi", "b"]
    assert "/etc/passwd: No such file" in done.stderr
    shown = image(lab, "tool:1")
    base = image(lab, "busybox")
    assert shown["Parent"] == base["Id"]
    assert shown["Author"] == "Ann"
    assert shown["Comment"] == "a note"
    assert shown["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    assert shown["GraphDriver"]["Data"]["LowerDir"]
    diff = Path(shown["GraphDriver"]["Data"]["UpperDir"])
    assert sorted(path.name for path in diff.iterdir()) == ["a", "also", "etc", "new", "tmp"]
    lines = out(lab, "history", "--no-trunc", "--format", "{{.ID}} {{.Comment}}", "tool:1")
    assert lines.splitlines()[0] == f"{made} a note"
    assert lines.splitlines()[1].startswith(base["Id"])
    assert out(lab, "history", "-q", "tool:1").split()[0] == made[7:19]
    table = out(lab, "history", "tool:1").splitlines()
    assert table[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert table[1].split()[0] == made[7:19]
    assert "T" in out(lab, "history", "-H=false", "tool:1").splitlines()[1]


def test_a_sparse_file_larger_than_the_disk_is_in_no_archive(lab: Lab, tmp_path: Path) -> None:
    """Its zeros would be written for ever: `truncate -s 8E` takes no time."""
    disk = os.statvfs(lab.folder)
    make = f"truncate -s {disk.f_blocks * disk.f_frsize + (2 << 30)} /huge"
    script = f"{make}; echo here > /small"
    container = out(lab, "create", "--network", "none", "busybox", "sh", "-c", script).strip()
    out(lab, "start", container)
    assert out(lab, "wait", container).strip() == "0"
    done = lab.cli("commit", container, "huge:1", timeout=60)
    assert done.returncode == 1
    assert "the file 'huge' of " in done.stderr
    assert lab.api("GET", "/images/huge:1/json")[0] == 404
    done = lab.cli("export", "-o", str(tmp_path / "out.tar"), container, timeout=60)
    assert done.returncode == 1
    done = lab.cli("cp", f"{container}:/huge", str(tmp_path / "huge"), timeout=60)
    assert done.returncode == 1
    assert "the file 'huge' of " in Path(lab.folder, "labkitd.log").read_text()
    assert out(lab, "cp", f"{container}:/small", str(tmp_path / "small")) == ""
    assert (tmp_path / "small").read_text() == "here\n"
    out(lab, "rm", container)
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN {make}\n")
    done = lab.cli("build", "-f", str(tmp_path / "Dockerfile"), str(tmp_path), timeout=60)
    assert done.returncode == 1
    assert "the file 'huge' of " in done.stderr


def test_a_running_container_is_frozen_while_it_is_committed(lab: Lab) -> None:
    loop = "i=0; while true; do i=$((i+1)); echo $i > /t; mv /t /a; echo $i > /t; mv /t /b; done"
    container = out(lab, "run", "-d", "--network", "none", "busybox", "sh", "-c", loop).strip()
    since_s = time.time()
    for number in range(3):
        out(lab, "commit", container, f"moment:{number}")
    out(lab, "commit", "--pause=false", container, "moment:x")
    _, state = lab.api("GET", f"/containers/{container}/json")
    assert state["State"]["Status"] == "running"
    told = ("--since", str(since_s), "--until", str(time.time()), "--filter", "type=container",
            "--format", "{{.Action}}")  # fmt: skip
    seen = out(lab, "events", *told).split()
    assert seen == [*(["pause", "unpause", "commit"] * 3), "commit"]
    for number in range(3):
        read = ("run", "--rm", "--network", "none", f"moment:{number}", "cat", "/a", "/b")
        first, second = map(int, out(lab, *read).split())
        assert first - second in (0, 1)
    out(lab, "rm", "-f", container)


def test_a_container_that_changed_nothing_adds_no_layer(lab: Lab) -> None:
    container = out(lab, "create", "--network", "none", "busybox", "true").strip()
    out(lab, "commit", container, "same")
    assert image(lab, "same")["RootFS"] == image(lab, "busybox")["RootFS"]
    assert out(lab, "history", "--format", "{{.Size}}", "same").split()[0] == "0B"
    assert lab.cli("commit", container, "NotAName").returncode == 1
    assert lab.cli("commit", "nosuch", "x").returncode == 1
    assert lab.cli("commit", "-c", "RUN x", container).returncode == 1


def test_an_archive_behind_a_url_is_fetched_by_the_daemon(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(archive(entry("hello", content=b"there")).getvalue())
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        made = out(lab, "import", "-c", "CMD x", f"{url}/root.tar", "fetched:1").strip()
        missing = lab.cli("import", f"{url}/none.tar", "missing:1")
        server.shutdown()
    assert image(lab, "fetched:1")["Id"] == made
    assert image(lab, "fetched:1")["Config"]["Cmd"] == ["/bin/sh", "-c", "x"]
    assert missing.stderr == f"labkit: cannot fetch {url}/none.tar: 404 File not found\n"


def test_an_entrypoint_drops_the_old_command(lab: Lab) -> None:
    container = out(lab, "create", "--network", "none", "busybox", "true").strip()
    out(lab, "commit", "-c", 'ENTRYPOINT ["echo", "e"]', container, "entry")
    out(lab, "commit", "-c", "ENV PATH=$PATH:/more", "-c", "LABEL a=b", container, "env")
    config = image(lab, "entry")["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["echo", "e"], None)
    config = image(lab, "env")["Config"]
    assert config["Cmd"] == ["true"]
    (path,) = config["Env"]
    assert path.endswith("/bin:/more")
    assert config["Labels"] == image(lab, "busybox")["Config"]["Labels"] | {"a": "b"}


def test_rmi_by_dockers_rules(lab: Lab) -> None:
    middle = commit(lab, "echo 1 > /1", "middle")
    container = out(lab, "create", "--network", "none", "middle", "touch", "/2").strip()
    out(lab, "start", container)
    out(lab, "wait", container)
    top = out(lab, "commit", container, "top").strip()

    refused = lab.cli("rmi", "middle")
    assert "(must force) - container" in refused.stderr
    out(lab, "rm", container)
    assert out(lab, "rmi", "middle") == "Untagged: middle:latest\n"
    assert "image has dependent child images" in lab.cli("rmi", "-f", middle).stderr
    assert middle[7:19] not in out(lab, "images", "-q")
    assert middle[7:19] in out(lab, "images", "-aq")
    assert out(lab, "images", "-q", "-f", "dangling=true") == ""
    gone = out(lab, "rmi", "top").splitlines()
    assert gone[:2] == ["Untagged: top:latest", f"Deleted: {top}"]
    assert f"Deleted: {middle}" in gone
    assert len(gone) == 5, "two images and their own layers"

    out(lab, "tag", "busybox", "host:5000/some/name:1")
    busybox = image(lab, "busybox")["Id"]
    assert "referenced in multiple repositories" in lab.cli("rmi", busybox).stderr
    assert out(lab, "rmi", "host:5000/some/name:1") == "Untagged: host:5000/some/name:1\n"
    middle = commit(lab, "echo 1 > /1", "middle")
    commit(lab, "true", "other")
    out(lab, "rmi", "--no-prune", "middle")
    assert lab.cli("rmi", "nosuch").stderr.endswith("No such image: nosuch:latest\n")


def test_images_filtered(lab: Lab) -> None:
    first = commit(lab, "true", "-c", "LABEL kind=first", "first")
    second = commit(lab, "true", "-c", "LABEL kind=second", "repo/second:2")

    def ids(*words: str) -> list[str]:
        return out(lab, "images", "-q", "--no-trunc", *words).split()

    assert ids("-f", "label=kind=first") == [first]
    assert ids("-f", "label=kind") == [second, first]
    assert ids("-f", "since=first") == [second]
    assert ids("-f", "before=repo/second:2", "-f", "label=kind") == [first]
    assert ids("-f", "reference=repo/*:2") == [second]
    assert "invalid filter" in lab.cli("images", "-f", "nonsense=1").stderr
    heading, row = out(lab, "images", "--digests", "first").splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    assert row.split()[2].startswith("sha256:")
    out(lab, "rmi", row.split()[0] + "@" + row.split()[2])


def test_save_and_load(lab: Lab, make_lab: Callable[[], Lab], tmp_path: Path) -> None:
    commit(lab, "echo 1 > /1", "tool:1")
    out(lab, "tag", "tool:1", "tool:2")
    archive = str(tmp_path / "images.tar")
    out(lab, "save", "-o", archive, "tool", "busybox")
    other = make_lab()
    out(other, "rmi", "busybox")
    loaded = out(other, "load", "-i", archive).splitlines()
    assert loaded == [f"Loaded image: {name}" for name in ("tool:1", "tool:2", "busybox:latest")]
    for name in ("tool:1", "tool:2", "busybox"):
        ours, theirs = image(lab, name), image(other, name)
        for field in ("Id", "RepoDigests", "RootFS", "Config", "Size", "Created"):
            assert ours[field] == theirs[field], field
    assert out(other, "run", "--rm", "--network", "none", "tool:1", "cat", "/1") == "1\n"
    again = subprocess.run(
        other.argv("load", "-q"),
        env=other.env,
        cwd=PROJECT,
        stdin=open(archive, "rb"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.splitlines() == loaded
    assert lab.cli("save", "nosuch").returncode == 1
    refused = other.cli("load", input="no archive")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "archive cannot be read" in refused.stderr


def test_an_image_of_very_many_layers(lab: Lab) -> None:
    """The kernel takes one page of mount options, which these do not fit."""
    store = ImageStore(lab.root)
    base = store.resolve("busybox")
    with store.draft() as draft:
        draft.start_from(base)
        for number in range(100):
            draft.add_tar(archive(entry(f"layer/{number}", content=b"x")))
        draft.commit(base.document, names=["many"])
    words = ("run", "--name", "mm", "--network", "none", "many")
    assert out(lab, *words, "sh", "-c", "touch /new; ls /layer | wc -l") == "100\n"
    assert out(lab, "diff", "mm") == "A /new\n"
    out(lab, "commit", "mm", "more")
    assert len(image(lab, "more")["RootFS"]["Layers"]) == 102
    out(lab, "rm", "mm")


def test_prune_and_df(lab: Lab) -> None:
    commit(lab, "dd if=/dev/zero of=/big bs=1M count=3", "big")
    commit(lab, "true", "big")
    used = out(lab, "create", "--network", "none", "busybox", "true").strip()
    rows = {
        row.split("|")[0]: row.split("|")[1:]
        for row in out(
            lab,
            *("system", "df", "--format"),
            "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}",
        ).splitlines()
    }
    assert rows["Images"][:2] == ["3", "1"]
    assert rows["Containers"][:2] == ["1", "0"]
    assert rows["Local Volumes"] == ["0", "0", "0B", "0B"]
    assert out(lab, "system", "df").startswith("TYPE")
    pruned = out(lab, "image", "prune", "-f")
    assert pruned.startswith("Deleted Images:\ndeleted: sha256:")
    assert pruned.endswith("Total reclaimed space: 3.15MB\n")
    pruned = out(lab, "image", "prune", "-af")
    assert "untagged: big:latest" in pruned
    assert "busybox" not in pruned
    assert out(lab, "images", "--format", "{{.Repository}}") == "busybox\n"
    out(lab, "rm", used)
    assert json.loads(out(lab, "image", "inspect", "busybox"))[0]["Parent"] == ""


def test_the_python_client(lab: Lab) -> None:
    client = Client(lab.socket)
    container = client.containers.create("busybox", ["true"], network_mode="none")
    made = container.commit("py", "1", message="m", changes=["ENV A=b"])
    assert made.tags == ["py:1"]
    assert [line["Comment"] for line in client.images.history("py:1")][:1] == ["m"]
    container.remove()
    client.images.tag("py:1", "py", "2")
    client.images.remove(made.id, force=True)
    assert [found.tags for found in client.images.list()] == [["busybox:latest"]]
