"""Images by their digests: `repo@sha256:…` is a name, given by a registry and kept.

What Docker does with such names is asked in `tests/matrix`; here is what goes beyond its answers.
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from labkit.images import ImageStore, loading
from tests.images import archive, entry
from tests.lab import Lab
from tests.matrix.images import Images, running_images
from tests.registries import CONFIG, INDEX, MANIFEST, as_bytes, descriptor, digest_of

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    with running_images() as running:
        yield running


@pytest.fixture
def lab(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.cli("image", "prune", "-a", "-f", "--filter", "label=tool")
    assert out(lab, "images", "-aq", "-f", "label=tool") == ""


def out(lab: Lab, *words: str) -> str:
    done = lab.cli(*words)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.rstrip("\n")


def names(lab: Lab, image: str) -> tuple[list[str], list[str]]:
    """Its RepoTags and RepoDigests."""
    (found,) = json.loads(out(lab, "image", "inspect", image))
    return found["RepoTags"], found["RepoDigests"]


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_words_of_a_pull(lab: Lab, images: Images) -> None:
    signs = images.signs("tool")
    name, digest = signs["~"], signs["#one"]
    said = out(lab, "pull", f"{name}:one{digest}").splitlines()
    assert said[0] == f"{name}{digest}: Pulling from tool"
    assert said[-3:] == [
        f"Digest: {digest[1:]}",
        f"Status: Downloaded newer image for {name}{digest}",
        f"{name}:one{digest}",
    ]
    again = out(lab, "pull", f"{name}{digest}").splitlines()
    assert again[-2] == f"Status: Image is up to date for {name}{digest}"
    assert out(lab, "run", "--rm", f"{name}{digest}") == "one"


@pytest.fixture
def index(images: Images) -> tuple[str, str, dict[str, str]]:
    """A repository; the digest of an index there, tagged `multi`; its images' by architecture."""
    signs = images.signs("tool")
    architectures = {"amd64": "one", "arm64": "two"}
    manifests, digests = [], {}
    for architecture, name in architectures.items():
        digest = digests[architecture] = signs[f"#{name}"][1:]
        found = images.registry.ask("GET", f"/v2/tool/manifests/{digest}", Accept=MANIFEST)
        document = found.json
        blob = images.registry.ask("GET", f"/v2/tool/blobs/{document['config']['digest']}")
        config = as_bytes(blob.json | {"architecture": architecture})
        images.registry.push_blob("tool", config)
        document |= {"config": document["config"] | descriptor(CONFIG, config)}
        digests[architecture] = images.registry.push_manifest(
            "tool", architecture, document, MANIFEST
        )
        platform = {"architecture": architecture, "os": "linux"}
        data = as_bytes(document)
        manifests.append(descriptor(MANIFEST, data) | {"platform": platform})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return signs["~"], images.registry.push_manifest("tool", "multi", document, INDEX), digests


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("by_tag", [True, False])
def test_the_digest_of_an_index_is_kept_whatever_was_taken_of_it(
    lab: Lab, index: tuple[str, str, dict[str, str]], architecture: str, by_tag: bool
) -> None:
    name, digest, of = index
    asked = f"{name}:multi" if by_tag else f"{name}@{digest}"
    out(lab, "pull", "--platform", f"linux/{architecture}", asked)
    known = ([f"{name}:multi"] if by_tag else [], [f"{name}@{digest}"])
    assert names(lab, f"{name}@{digest}") == known
    assert names(lab, asked) == known
    shown = out(lab, "image", "inspect", "-f", "{{.Architecture}}", f"{name}@{digest}")
    assert shown == architecture
    assert lab.cli("image", "inspect", f"{name}@{of[architecture]}").returncode == 1
    row = f"{'multi' if by_tag else '<none>'} {digest}"
    for pattern in (name, asked):
        assert out(lab, "images", "--format", "{{.Tag}} {{.Digest}}", pattern) == row


def test_an_index_and_an_image_of_it(lab: Lab, index: tuple[str, str, dict[str, str]]) -> None:
    name, digest, of = index
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[run("uname", "-m").strip()]
    for asked in (digest, of[machine]):
        out(lab, "pull", f"{name}@{asked}")
    both = sorted(f"{name}@{each}" for each in (digest, of[machine]))
    assert names(lab, f"{name}@{digest}") == ([], both)
    assert names(lab, f"{name}@{of[machine]}") == ([], both)
    out(lab, "rmi", f"{name}@{digest}")
    assert names(lab, f"{name}@{of[machine]}") == ([], [f"{name}@{of[machine]}"])
    assert "Deleted: " in out(lab, "rmi", f"{name}@{of[machine]}")


def test_the_digest_means_what_was_pulled_last(
    lab: Lab, index: tuple[str, str, dict[str, str]]
) -> None:
    """Docker refuses the second pull: "Cannot overwrite digest"."""
    name, digest, _ = index
    for architecture in ("arm64", "amd64", "arm64"):
        out(lab, "pull", "-q", "--platform", f"linux/{architecture}", f"{name}@{digest}")
        shown = out(lab, "image", "inspect", "-f", "{{.Architecture}}", f"{name}@{digest}")
        assert shown == architecture
    assert len(out(lab, "images", "-q", "-f", "label=tool").split()) == 2


def test_a_build_begins_with_a_digest(lab: Lab, images: Images, tmp_path: Path) -> None:
    signs = images.signs("tool")
    pinned = f"{signs['~']}{signs['#one']}"
    (tmp_path / "Dockerfile").write_text(f"FROM {signs['~']}:any{signs['#one']}\nENV A=b\n")
    built = out(lab, "build", "-q", str(tmp_path))
    assert names(lab, pinned) == ([], [pinned])
    parent = out(lab, "image", "inspect", "-f", "{{.Parent}}", built)
    assert parent == out(lab, "image", "inspect", "-f", "{{.Id}}", pinned)
    out(lab, "rmi", built)
    assert names(lab, pinned) == ([], [pinned]), "a named image does not go with its child"


def test_docker_py(lab: Lab, images: Images) -> None:
    signs = images.signs("tool")
    name, digest = signs["~"], signs["#two"]
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto")
    try:
        image = client.images.pull(f"{name}{digest}")
        assert (image.tags, image.attrs["RepoDigests"]) == ([], [f"{name}{digest}"])
        assert client.images.get(f"{name}{digest}").id == image.id
        assert client.images.list(f"{name}{digest}") == [image]
        assert client.images.list(name) == [image]
        assert client.images.prune({"label": "tool"})["ImagesDeleted"][0] == {
            "Untagged": f"{name}{digest}"
        }
    finally:
        client.close()


# The store on the disk


def test_other_programs_read_a_store_with_digests(tmp_path: Path) -> None:
    store = ImageStore(f"{tmp_path}/root")
    image = store.import_tar(archive(entry("a", content=b"1")), "tool:1")
    digest = f"tool@{image.digest}"
    store.note_digest(image, digest)
    layout = f"{tmp_path}/root/images"
    assert json.loads(run("skopeo", "inspect", f"oci:{layout}:tool:1"))["Digest"] == image.digest
    run("skopeo", "copy", f"oci:{layout}:tool:1", f"oci:{tmp_path}/copy:tool:1")
    run("umoci", "unpack", "--image", f"{layout}:tool:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/a").read_bytes() == b"1"
    assert digest in run("umoci", "list", "--layout", layout).split()
    run("umoci", "tag", "--image", f"{layout}:tool:1", "tool:2")
    found = ImageStore(f"{tmp_path}/root").resolve("tool:2")
    assert found.names == ["tool:1", "tool:2", digest], "umoci has kept what it did not know"


def test_a_layout_with_digests_is_loaded_without_them(tmp_path: Path) -> None:
    """A digest is for a registry to give: Docker's archives have none, nor are they taken."""
    store = ImageStore(f"{tmp_path}/root")
    image = store.import_tar(archive(entry("a")), "tool:1")
    store.note_digest(image, f"tool@{image.digest}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(f"{tmp_path}/root/images", "")
    other = ImageStore(f"{tmp_path}/other")
    (loaded,) = [
        event
        for event in loading.load(other, io.BytesIO(buffer.getvalue()))
        if isinstance(event, loading.Loaded)
    ]
    assert loaded.names == ["tool:1"]
    assert other.resolve("tool:1").names == ["tool:1"]


def test_what_is_gone_gets_no_digest(tmp_path: Path) -> None:
    store = ImageStore(f"{tmp_path}/root")
    image = store.import_tar(archive(entry("a")), "tool:1")
    store.remove("tool:1")
    store.note_digest(image, f"tool@{digest_of(b'')}")
    assert store.list() == []
