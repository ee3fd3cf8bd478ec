"""`buildx build --platform a,b`: one image for several platforms, and what cannot be."""

import json
import os
import tarfile
import tempfile

import pytest

from tests import leaks, registries
from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root

OWN = "arm64" if os.uname().machine == "aarch64" else "amd64"
OTHER = "amd64" if OWN == "arm64" else "arm64"
BOTH = f"linux/{OWN},linux/{OTHER}"
DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM busybox AS made
ARG TARGETPLATFORM
RUN echo $TARGETPLATFORM > /for
FROM scratch
COPY --from=made /for f /
"""


@pytest.fixture(scope="module")
def client():
    with running_lab() as lab:
        yield client_of(lab)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE.replace("/for f", "/for") + "COPY f /\n")
    (folder / "f").write_text("a file\n")
    return folder


def test_an_image_for_two_platforms_is_pushed_whole(client, folder):
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as place:
        registry = registries.LabkitRegistry(place)
        try:
            name = f"{registry.address}/it:1"
            flags = ["--platform", BOTH, "--push", "-t", name]
            said = client.docker("buildx", "build", *flags, str(folder)).stdout
            assert f"[linux/{OTHER} made 2/2] RUN echo linux/{OTHER} > /for" in said
            index = json.loads(
                client.docker("buildx", "imagetools", "inspect", "--raw", name).stdout
            )
            for member in index["manifests"]:
                path = f"/v2/it/manifests/{member['digest']}"
                layers = registry.ask("GET", path, Accept=registries.MANIFEST).json["layers"]
                assert len(layers) == 2
        finally:
            registry.end()
    found = [member["platform"]["architecture"] for member in index["manifests"]]
    assert found == [OWN, OTHER]


def test_an_archive_of_an_image_for_two_platforms(client, folder, tmp_path):
    path = f"{tmp_path}/oci.tar"
    client.docker("buildx", "build", "--platform", BOTH, "-o", f"type=oci,dest={path}", str(folder))
    with tarfile.open(path) as archive:
        (entry,) = json.load(archive.extractfile("index.json"))["manifests"]
        digest = entry["digest"].partition(":")[2]
        index = json.load(archive.extractfile(f"blobs/sha256/{digest}"))
        names = archive.getnames()
    assert len(index["manifests"]) == 2
    assert all(f"blobs/sha256/{m['digest'].partition(':')[2]}" in names for m in index["manifests"])


def test_two_platforms_without_this_machines(client, folder):
    flags = ["--platform", f"linux/{OTHER},linux/s390x", "-t", "it"]
    said = client.docker("buildx", "build", *flags, str(folder), code=1).stdout
    assert "add it to --platform" in said


def test_a_folder_is_of_one_platform(client, folder, tmp_path):
    flags = ["--platform", BOTH, "-o", f"type=local,dest={tmp_path}/out"]
    said = client.docker("buildx", "build", *flags, str(folder), code=1).stdout
    assert "local exporter does not currently support exporting several platforms" in said
