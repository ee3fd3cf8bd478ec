"""Known ways out through images and builds: what an image or a Dockerfile claims is not believed.

Those of archives, `cp` and volumes are with their own tests: CVE-2014-9356, -9357 and -6407 in
test_images_hostile.py and test_layers_hostile.py, CVE-2018-15664 and CVE-2019-14271 in
test_container_files.py, CVE-2022-23648 in test_volumes.py.
"""

import hashlib
import io
import json
import os
import tarfile

import pytest

pytestmark = pytest.mark.root

DOCKERFILE = "FROM scratch\nCOPY app /app\n"


def archive_with(content: bytes) -> bytes:
    """A tar of one file, `app`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("app")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def poisoned(saved: bytes, content: bytes) -> bytes:
    """An image that claims the history of the one that was saved, with another layer."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    manifest = json.loads(files["manifest.json"])
    config = json.loads(files[manifest[0]["Config"]])
    layer = archive_with(content)
    config["rootfs"]["diff_ids"] = [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    names = {"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["poison:latest"]}
    files["manifest.json"] = json.dumps([names]).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def content_of(lab, image: str) -> bytes:
    """What is in `/app` of an image."""
    lab.cli("create", "--name", "look", image, "/app", check=True)
    copied = lab.cli("cp", "look:/app", "-", check=True, text=False).stdout
    lab.cli("rm", "look", check=True)
    with tarfile.open(fileobj=io.BytesIO(copied)) as tar:
        return tar.extractfile("app").read()


def test_cve_2024_24557_a_loaded_image_is_no_cache(make_lab, tmp_path):
    """What an image says of how it was made, whoever made the image has written."""
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app").write_text("good")
    words = ("build", "-q", "-t", "app", str(tmp_path))
    first, second = make_lab(), make_lab()
    first.cli(*words, check=True)
    saved = first.cli("save", "app", check=True, text=False).stdout
    second.cli("load", input=poisoned(saved, b"evil"), text=False, check=True)
    assert content_of(second, "poison") == b"evil"
    second.cli(*words, check=True)
    assert content_of(second, "app") == b"good"
    # An image that it has built itself is one.
    built = second.cli("build", str(tmp_path), check=True)
    assert "Using cache" in built.stdout


def test_cve_2024_23652_a_mount_point_that_has_become_a_link(lab, tmp_path):
    """The empty mount point is taken away after RUN: not through a link in place of its folder."""
    for name in ("stub", "kept"):
        (tmp_path / "host" / name).mkdir(parents=True)
    dockerfile = (
        "FROM busybox\n"
        f"RUN --mount=type=tmpfs,target=/a/stub mv /a /b && ln -s {tmp_path}/host /a\n"
        "RUN --mount=type=tmpfs,target=/plain/stub true\n"
    )
    lab.cli("build", "-t", "stubs", "-", input=dockerfile, check=True)
    assert sorted(os.listdir(tmp_path / "host")) == ["kept", "stub"]
    shown = lab.cli("run", "--rm", "--network", "none", "stubs", "ls", "/").stdout.split()
    assert "plain" not in shown  # they are taken away


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("RUN --security=insecure true", "security"),  # CVE-2024-23653
        ("RUN --mount=type=cache,target=/c,source=../../etc true", "source"),  # CVE-2024-23651
        ("RUN --mount=type=bind,source=../../../etc,target=/m true", ""),
        ("COPY ../../../etc/passwd /", ""),
    ],
)
def test_cve_2024_23651_and_23653_no_power_and_no_path_of_the_hosts(lab, tmp_path, line, why):
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\n{line}\n")
    done = lab.cli("build", str(tmp_path))
    assert done.returncode != 0, done.stdout
    assert why in done.stderr + done.stdout
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    assert lab.cli("build", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("command", ["load", "import"])
def test_cve_2021_21285_what_is_no_image_does_not_end_the_daemon(lab, tmp_path, command):
    manifest = [{"Config": "../../../../etc/passwd", "Layers": ["/etc/shadow"], "RepoTags": None}]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        data = json.dumps(manifest).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    bad = tmp_path / "bad.tar"
    bad.write_bytes(stream.getvalue() if command == "load" else b"no archive at all")
    before, pid = lab.cli("images", "-aq").stdout, lab.daemon_pid()
    words = ("load", "-i", str(bad)) if command == "load" else ("import", str(bad), "bad")
    assert lab.cli(*words).returncode == 1
    assert (lab.cli("images", "-aq").stdout, lab.daemon_pid()) == (before, pid)
