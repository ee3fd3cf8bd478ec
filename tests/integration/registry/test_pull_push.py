"""Pull and push: images go from labkit through registries to other programs, and come back."""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.images import archive, entry, temporary_folder
from tests.lab import Lab
from tests.registries import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    DebianRegistry,
    as_bytes,
    descriptor,
    digest_of,
)

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    if not DebianRegistry.is_installed():
        pytest.skip("needs docker-registry")
    running = DebianRegistry(str(tmp_path_factory.mktemp("registry")))
    yield running
    running.end()


def out(lab: Lab, *words: str) -> str:
    done = lab.cli(*words)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.rstrip("\n")


def run(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def image_id(lab: Lab, name: str) -> str:
    return out(lab, "inspect", "--type", "image", "-f", "{{.Id}}", name)


def remove_images(lab: Lab, *names: str) -> None:
    for name in names:
        lab.cli("rmi", "-f", name)


@pytest.fixture
def tool(lab: Lab, registry: DebianRegistry) -> Iterator[str]:
    """An image of two layers; the upper one hides a file of the lower, and has its own."""
    name = f"{registry.address}/lab/tool:1"
    out(lab, "run", "--name", "made", "busybox", "sh", "-c", "rm /bin/wget; echo hi > /new")
    out(lab, "commit", "-m", "for the tests", "made", name)
    yield name
    remove_images(lab, name)


def store_blob(lab: Lab, digest: str) -> bytes:
    return Path(lab.root, "images/blobs", digest.replace(":", "/")).read_bytes()


def test_to_the_registry_to_skopeo_and_back_bit_for_bit(
    lab: Lab, registry: DebianRegistry, tool: str, tmp_path: Path
) -> None:
    said = out(lab, "push", tool).splitlines()
    assert said[0] == f"The push refers to repository [{registry.address}/lab/tool]"
    assert [line for line in said if line.endswith(": Pushed")]
    digest = said[-1].split()[2]
    assert said[-1].startswith("1: digest: sha256:")
    before = image_id(lab, tool)
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{tool}", f"dir:{tmp_path}/there")
    manifest = (tmp_path / "there/manifest.json").read_bytes()
    assert digest_of(manifest) == digest
    assert store_blob(lab, digest) == manifest
    for layer in json.loads(manifest)["layers"]:
        blob = (tmp_path / "there" / layer["digest"].removeprefix("sha256:")).read_bytes()
        assert blob == store_blob(lab, layer["digest"])
    other = f"{registry.address}/lab/back:2"
    run(
        *("skopeo", "copy", "--dest-tls-verify=false"), f"dir:{tmp_path}/there", f"docker://{other}"
    )
    remove_images(lab, tool)
    assert f"Digest: {digest}" in out(lab, "pull", other)
    assert image_id(lab, other) == before
    assert store_blob(lab, digest) == manifest
    assert out(lab, "run", "--rm", other, "sh", "-c", "cat /new; ls /bin/wget || true") == "hi"
    remove_images(lab, other)


def test_to_docker_and_back(lab: Lab, registry: DebianRegistry, tool: str, oracle) -> None:
    out(lab, "push", "-q", tool)
    pulled = oracle.docker("pull", tool)
    assert pulled.returncode == 0, pulled.stderr
    found = json.loads(oracle.docker("image", "inspect", tool).stdout)[0]
    ours = json.loads(out(lab, "inspect", "--type", "image", tool))[0]
    assert found["RootFS"]["Layers"] == ours["RootFS"]["Layers"]
    assert found["Id"] == ours["Id"]
    ran = oracle.docker("run", "--rm", "--network", "none", tool, "sh", "-c", "cat /new")
    assert ran.stdout == b"hi\n", ran.stderr
    back = f"{registry.address}/lab/from-docker:1"
    oracle.docker("tag", tool, back)
    pushed = oracle.docker("push", back)
    assert pushed.returncode == 0, pushed.stderr
    remove_images(lab, tool)
    out(lab, "pull", back)
    assert image_id(lab, back) == ours["Id"]
    assert out(lab, "run", "--rm", back, "cat", "/new") == "hi"
    oracle.docker("rmi", tool, back)
    remove_images(lab, back)


def test_to_podman_and_back(lab: Lab, registry: DebianRegistry, tool: str) -> None:
    out(lab, "push", tool)
    back = f"{registry.address}/lab/from-podman:1"
    with temporary_folder() as folder:
        podman = (
            *("podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run"),
            *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"),
        )
        run(*podman, "pull", "--tls-verify=false", tool)
        found = run(*podman, "image", "inspect", "--format", "{{.Id}}", tool).decode().strip()
        assert f"sha256:{found}" == image_id(lab, tool)
        run(*podman, "push", "--tls-verify=false", tool, back)
    out(lab, "pull", back)
    assert out(lab, "run", "--rm", back, "cat", "/new") == "hi"
    remove_images(lab, back)


def test_words_are_dockers(lab: Lab, registry: DebianRegistry, tool: str) -> None:
    out(lab, "push", tool)
    again = out(lab, "push", tool).splitlines()
    assert len([line for line in again if line.endswith("Layer already exists")]) == 2
    other = f"{registry.address}/lab/mounted:1"
    out(lab, "tag", tool, other)
    mounted = out(lab, "push", other)
    assert "Mounted from lab/tool" in mounted
    remove_images(lab, other)
    up_to_date = out(lab, "pull", tool).splitlines()
    assert up_to_date[0] == "1: Pulling from lab/tool"
    assert up_to_date[-2:] == [f"Status: Image is up to date for {tool}", tool]
    remove_images(lab, tool)
    pulled = out(lab, "pull", tool).splitlines()
    for state in ("Pulling fs layer", "Download complete", "Pull complete"):
        assert any(line.endswith(f": {state}") for line in pulled), pulled
    assert pulled[-2] == f"Status: Downloaded newer image for {tool}"
    assert out(lab, "pull", "-q", tool) == tool


def test_all_tags(lab: Lab, registry: DebianRegistry, tool: str) -> None:
    repository = f"{registry.address}/lab/many"
    for tag in ("a", "b", "c"):
        out(lab, "tag", tool, f"{repository}:{tag}")
    out(lab, "push", "-a", repository)
    remove_images(lab, *(f"{repository}:{tag}" for tag in "abc"))
    assert out(lab, "pull", "-a", repository).splitlines()[-1] == repository
    listed = out(lab, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert {f"{repository}:{tag}" for tag in "abc"} <= set(listed)
    remove_images(lab, *(f"{repository}:{tag}" for tag in "abc"))


def test_a_missing_image_is_pulled(lab: Lab, registry: DebianRegistry, tool: str) -> None:
    out(lab, "push", tool)
    remove_images(lab, tool)
    never = lab.cli("run", "--rm", "--pull", "never", tool, "true")
    assert (never.returncode, never.stderr) == (125, f"labkit: No such image: {tool}\n")
    done = lab.cli("run", "--rm", tool, "cat", "/new")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert done.stderr.startswith(f"Unable to find image '{tool}' locally\n1: Pulling from")
    quiet = lab.cli("run", "--rm", "-q", "--pull", "always", tool, "cat", "/new")
    assert (quiet.stdout, quiet.stderr) == ("hi\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pull {0}/lab/nosuch", "manifest for {0}/lab/nosuch:latest not found: manifest unknown"),
        ("pull localhost:1/x", "cannot reach the registry at http://localhost:1/v2/: connection"),
        ("pull nosuch.invalid/x", "no such host. Check its name, and that this machine has a"),
        ("run nosuch.invalid/x", "no such host. Check its name, and that this machine has a"),
        ("pull {0}/Lab", "repository name (Lab) must be lowercase"),
        ("pull -a {0}/lab/x:1", "tag can't be used with --all-tags/-a"),
        ("pull --platform a/b/c/d {0}/x", "platform specifier"),
        ("push {0}/lab/nosuch", "An image does not exist locally with the tag: {0}/lab/nosuch"),
        ("login -u me {0}", "give --username and --password-stdin"),
        ("search {0}/x", "404"),
    ],
)
def test_mistakes(lab: Lab, registry: DebianRegistry, words: str, message: str) -> None:
    done = lab.cli(*words.format(registry.address).split())
    assert done.returncode in (1, 125)
    assert message.format(registry.address) in done.stderr


def plain_image(registry: DebianRegistry, name: str, architecture: str) -> dict[str, object]:
    """A manifest, its layer kept plain, whose blobs are there; its one file names the machine."""
    layer = archive(entry("machine", content=architecture.encode())).getvalue()
    config = as_bytes(
        {
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    for blob in (layer, config):
        registry.push_blob(name, blob)
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
    }


@pytest.fixture
def index(registry: DebianRegistry) -> str:
    """An image for two kinds of machines."""
    manifests = []
    for architecture in ("arm64", "amd64"):
        data = as_bytes(plain_image(registry, "lab/multi", architecture))
        registry.push_manifest("lab/multi", digest_of(data), data, MANIFEST)
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append(descriptor(MANIFEST, data) | {"platform": platform})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    registry.push_manifest("lab/multi", "1", document, INDEX)
    return f"{registry.address}/lab/multi:1"


@pytest.mark.parametrize("architecture", ["arm64", "amd64"])
def test_the_image_for_a_platform(lab: Lab, index: str, architecture: str) -> None:
    out(lab, "pull", "--platform", f"linux/{architecture}", index)
    made = out(lab, "create", "--entrypoint", "/machine", index)
    content = subprocess.run(
        lab.argv("cp", f"{made}:/machine", "-"), env=lab.env, capture_output=True, check=True
    ).stdout
    assert architecture.encode() in content
    out(lab, "rm", made)
    remove_images(lab, index)


def test_no_image_for_a_platform(lab: Lab, index: str) -> None:
    done = lab.cli("pull", "--platform", "linux/s390x", index)
    assert "no matching manifest for linux/s390x" in done.stderr
    assert "linux/amd64, linux/arm64" in done.stderr


def test_a_plain_layer_travels_compressed(lab: Lab, registry: DebianRegistry, index: str) -> None:
    out(lab, "pull", index)
    other = f"{registry.address}/lab/packed:1"
    out(lab, "tag", index, other)
    before = image_id(lab, other)
    out(lab, "push", other)
    answer = registry.ask("GET", "/v2/lab/packed/manifests/1", Accept=MANIFEST)
    assert [layer["mediaType"] for layer in answer.json["layers"]] == [f"{LAYER}+gzip"]
    (found,) = json.loads(out(lab, "image", "inspect", other))
    given = f"{other.removesuffix(':1')}@{digest_of(answer.body)}"
    assert given in found["RepoDigests"], "the registry knows it by another digest"
    assert image_id(lab, given) == before
    remove_images(lab, index, other)
    out(lab, "pull", other)
    assert image_id(lab, other) == before
    remove_images(lab, other)


def test_mirrors_are_asked_first(lab: Lab, registry: DebianRegistry) -> None:
    name = "library/mirrored"
    document = plain_image(registry, name, "amd64")
    registry.push_manifest(name, "latest", document, MANIFEST)
    settings = Path(lab.root, "daemon.json")
    mirrors = ["http://127.0.0.1:1", f"http://{registry.address}"]
    settings.write_text(json.dumps({"registry-mirrors": mirrors}))
    try:
        said = out(lab, "pull", "mirrored")
        assert said.startswith("Using default tag: latest\nlatest: Pulling from library/mirrored\n")
        assert said.endswith("\ndocker.io/library/mirrored:latest")
        config = lab.api("GET", "/info")[1]["RegistryConfig"]  # type: ignore[index]
        assert config["Mirrors"] == mirrors
    finally:
        settings.unlink()
        remove_images(lab, "mirrored")


def test_a_hostile_image_leaves_nothing(lab: Lab, registry: DebianRegistry) -> None:
    escape = archive(entry("../../escaped", content=b"x")).getvalue()
    other = archive(entry("a", content=b"x")).getvalue()
    before = sorted(path.name for path in Path(lab.root, "images/blobs/sha256").iterdir())
    for number, (layer, claimed, message) in enumerate(
        (
            (escape, digest_of(escape), "leads out of the image"),
            (other, digest_of(b"something else"), "but its image says"),
        )
    ):
        rootfs = {"type": "layers", "diff_ids": [claimed]}
        config = as_bytes({"architecture": "amd64", "os": "linux", "rootfs": rootfs})
        for blob in (layer, config):
            registry.push_blob("lab/hostile", blob)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer)],
        }
        registry.push_manifest("lab/hostile", str(number), document, MANIFEST)
        done = lab.cli("pull", f"{registry.address}/lab/hostile:{number}")
        assert done.returncode == 1
        assert message in done.stderr
    after = sorted(path.name for path in Path(lab.root, "images/blobs/sha256").iterdir())
    assert after == before
    assert list(Path(lab.root, "staging").iterdir()) == []


def test_docker_py(lab: Lab, registry: DebianRegistry, tool: str) -> None:
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto")
    try:
        lines = list(client.api.push(tool, stream=True, decode=True))
        aux = [line["aux"] for line in lines if "aux" in line]
        assert aux[0]["Tag"] == "1"
        client.images.remove(tool, force=True)
        image = client.images.pull(tool.rpartition(":")[0], tag="1")
        assert tool in image.tags
        data = client.images.get_registry_data(tool)
        assert data.id == aux[0]["Digest"]
        assert data.has_platform("linux/amd64")
        with pytest.raises(docker.errors.NotFound, match="manifest unknown"):
            client.images.pull(f"{registry.address}/lab/nosuch", tag="1")
    finally:
        client.close()


def test_imported_and_pushed_by_python(lab: Lab, registry: DebianRegistry) -> None:
    from labkit.client import Client  # noqa: PLC0415

    name = f"{registry.address}/lab/imported"
    with Client(lab.socket) as client:
        tar: io.BytesIO = archive(entry("f", content=b"x"))
        client.images.import_image(tar, name, "1")
        assert client.images.push(name, "1")[-1]["aux"]["Tag"] == "1"
        client.images.remove(f"{name}:1")
        assert client.images.pull(name, "1").tags == [f"{name}:1"]
        client.images.remove(f"{name}:1")
