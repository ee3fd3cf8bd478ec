"""`--platform` of the commands for images that are there, and `images --tree`."""

import contextlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from labkit.images.models import Platform
from labkit.images.platforms import own_platform, words
from tests.images import archive, entry
from tests.lab import Lab, UnixConnection
from tests.registries import CONFIG, INDEX, LAYER, MANIFEST, as_bytes, descriptor

pytestmark = pytest.mark.root

OTHER = Platform("riscv64", "linux")


@pytest.fixture
def images(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.cli("rmi", "-f", "both:1")


def both() -> bytes:
    """An OCI layout whose one image is for this machine and for another one."""
    blobs = []
    manifests = []
    for platform in (own_platform(), OTHER):
        layer = archive(entry("file", content=platform.architecture.encode())).getvalue()
        config = as_bytes(
            {
                "architecture": platform.architecture,
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [descriptor("", layer)["digest"]]},
            }
        )
        manifest = as_bytes(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, config),
                "layers": [descriptor(LAYER, layer)],
            }
        )
        blobs += [layer, config, manifest]
        of = {"os": "linux", "architecture": platform.architecture}
        manifests.append({**descriptor(MANIFEST, manifest), "platform": of})
    index = as_bytes({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    name = {"io.containerd.image.name": "docker.io/library/both:1"}
    top = as_bytes(
        {"schemaVersion": 2, "manifests": [{**descriptor(INDEX, index), "annotations": name}]}
    )
    files = {"oci-layout": as_bytes({"imageLayoutVersion": "1.0.0"}), "index.json": top}
    for blob in (*blobs, index):
        files[f"blobs/{str(descriptor('', blob)['digest']).replace(':', '/')}"] = blob
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def load(lab: Lab, path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return lab.cli("load", "-i", str(path), *flags)


@pytest.mark.parametrize("platform", [own_platform(), OTHER])
def test_the_image_for_one_machine_is_loaded_out_of_an_archive(images, tmp_path, platform):
    (tmp_path / "both.tar").write_bytes(both())
    done = load(images, tmp_path / "both.tar", "--platform", words(platform))
    assert done.stdout == "Loaded image: both:1\n", done.stderr
    shown = images.api("GET", "/images/both:1/json")[1]
    assert shown["Architecture"] == platform.architecture


def test_an_archive_without_the_machine_is_refused(images, tmp_path):
    (tmp_path / "both.tar").write_bytes(both())
    done = load(images, tmp_path / "both.tar", "--platform", "linux/s390x")
    assert done.returncode == 1
    assert "linux/s390x" in done.stderr
    images.cli("save", "busybox", "-o", str(tmp_path / "one.tar"), check=True)
    done = load(images, tmp_path / "one.tar", "--platform", "linux/s390x")
    assert "does not provide the specified platform (linux/s390x)" in done.stderr
    asked = json.dumps([{"os": "linux", "architecture": own_platform().architecture}])
    # The archive is sent as docker-py sends it, with no type of content.
    with contextlib.closing(UnixConnection(images.socket, 60)) as connection:
        connection.request(
            "POST",
            f"/images/load?platform={quote(asked)}",
            (tmp_path / "one.tar").read_bytes(),
        )
        answer = connection.getresponse().read().decode()
    assert "Loaded image" in answer
    assert "error" not in answer


@pytest.mark.parametrize(
    "words_", [("save",), ("history",), ("inspect", "--type", "image")], ids=lambda each: each[0]
)
def test_what_is_there_for_another_machine_is_not_found(images, words_):
    done = images.cli(*words_, "--platform", words(OTHER), "busybox")
    assert done.returncode == 1
    assert "does not provide the specified platform (linux/riscv64)" in done.stderr
    own = images.cli(*words_, "--platform", words(own_platform()), "busybox", text=False)
    assert own.returncode == 0, own.stderr


def test_a_tree_of_images(images):
    lines = images.cli("images", "--tree", "busybox", check=True).stdout.splitlines()
    assert lines[0].split() == ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "USED"]
    assert lines[1].startswith("busybox:latest ")
    assert lines[2].startswith(f"└─ {words(own_platform())} ")
    refused = images.cli("images", "--tree", "-q")
    assert refused.returncode != 0
    assert "--quiet cannot be used together with --tree" in refused.stderr
