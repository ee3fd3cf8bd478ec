"""Images go to other people's programs and come back: docker, docker-py, podman, skopeo, umoci."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
import zstandard

from labkit.errors import InvalidParameterError, LabkitError
from labkit.images import Image, ImageStore, loading, saving
from tests.images import archive, entry, run, temporary_folder
from tests.integration.docker_command import DockerCommand
from tests.lab import PROJECT, Lab
from tests.oracle import Oracle
from tests.peers.clients import docker_commands

pytestmark = pytest.mark.root


@pytest.fixture
def lab(make_lab: Callable[[], Lab]) -> Lab:
    return make_lab()


def inspected(lab: Lab, name: str) -> dict[str, object]:
    status, found = lab.api("GET", f"/images/{name}/json")
    assert status == 200, found
    return found


def build_tool(lab: Lab) -> None:
    """An image of two layers of its own: links, whiteouts, modes, a capability."""
    script = (
        "echo one > /one; ln /one /also; ln -s /one /link; mkdir -m 1777 /d; echo 2 > /d/2;"
        "rm /etc/passwd; mkfifo /pipe; chown 7:8 /one; chmod 4711 /one"
    )
    for name, base, words in (("tool", "busybox", script), ("tool", "tool", "rm -r /d; mkdir /d")):
        container = lab.cli("create", "--network=none", base, "sh", "-c", words).stdout.strip()
        lab.cli("start", container, check=True)
        lab.cli("wait", container, check=True)
        lab.cli("commit", "-c", 'CMD ["cat", "/one"]', container, name, check=True)
        lab.cli("rm", container, check=True)


def save(lab: Lab, *names: str) -> bytes:
    done = lab.cli("save", *names, text=False)
    assert done.returncode == 0, done.stderr
    return done.stdout  # type: ignore[return-value]


def load(lab: Lab, data: bytes) -> str:
    done = lab.cli("load", text=False, input=data)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()  # type: ignore[attr-defined]


SHOWN = (
    "cd /; ls -lR one also link d pipe; ls etc/passwd;"
    "stat -c '%n %a %u %g %h %Y' one also link pipe"
)


def test_labkit_to_docker_and_back(lab: Lab, make_lab: Callable[[], Lab], oracle: Oracle) -> None:
    build_tool(lab)
    tool = inspected(lab, "tool")
    assert b"Loaded image: tool:latest" in oracle.docker("load", input=save(lab, "tool")).stdout
    theirs = json.loads(oracle.docker("inspect", "tool").stdout)[0]
    assert theirs["Id"] == tool["Id"]
    assert theirs["RootFS"] == tool["RootFS"]
    assert theirs["Config"]["Cmd"] == ["cat", "/one"]
    words = ("run", "--rm", "--network=none", "tool", "sh", "-c", SHOWN)
    assert oracle.docker(*words).stdout.decode() == lab.cli(*words).stdout

    other = make_lab()
    back = oracle.docker("save", "tool").stdout
    assert load(other, back) == "Loaded image: tool:latest\n"
    again = inspected(other, "tool")
    for field in ("Id", "RootFS", "Config", "Size", "Created", "Architecture"):
        assert again[field] == tool[field], field
    assert other.cli(*words).stdout == lab.cli(*words).stdout
    oracle.docker("rmi", "tool")


def test_dockers_own_image_to_labkit_and_back(lab: Lab, oracle: Oracle) -> None:
    made = archive(entry("hello", content=b"hello"), entry("d", tarfile.DIRTYPE)).getvalue()
    words = ("import", "-c", "CMD x", "-c", "LABEL a=b", "-m", "a note", "-", "made:1")
    assert oracle.docker(*words, input=made).returncode == 0
    first = oracle.docker("save", "made:1", "busybox").stdout
    # Docker saves several images in no certain order.
    assert sorted(load(lab, first).splitlines()) == [
        "Loaded image: busybox:latest",
        "Loaded image: made:1",
    ]
    theirs = json.loads(oracle.docker("inspect", "made:1").stdout)[0]
    ours = inspected(lab, "made:1")
    for field in ("Id", "RootFS", "Comment", "Architecture", "Os", "Size", "RepoTags", "Created"):
        assert ours[field] == theirs[field], field
    assert ours["Config"]["Labels"] == {"a": "b"}
    history = json.loads(oracle.docker("history", "--format", "{{json .}}", "made:1").stdout)
    assert lab.cli("history", "--format", "{{.Comment}}", "made:1").stdout.strip() == "a note"
    assert history["Comment"] == "a note"
    oracle.docker("rmi", "made:1")
    assert b"Loaded image: made:1" in oracle.docker("load", input=save(lab, "made:1")).stdout
    assert json.loads(oracle.docker("inspect", "made:1").stdout)[0]["Id"] == theirs["Id"]
    oracle.docker("rmi", "made:1")


@pytest.mark.parametrize("program", docker_commands())
def test_dockers_command(lab: Lab, tmp_path: Path, program: str) -> None:
    command = DockerCommand(program, lab, str(tmp_path))
    command.out("run", "--name", "cc", "--network", "none", "busybox", "sh", "-c", "echo 1 > /1")
    made = command.out("commit", "-a", "Ann", "-m", "note", "-c", "CMD cat /1", "cc", "mine:1")
    assert command.out("run", "--rm", "--network", "none", "mine:1") == "1"
    assert command.out("history", "-q", "--no-trunc", "mine:1").split()[0] == made
    command.out("tag", "mine:1", "other/mine")
    shown = command.out("images", "--format", "{{.Repository}}:{{.Tag}}", "-f", "since=busybox")
    assert sorted(shown.split()) == ["mine:1", "other/mine:latest"]
    command.out("save", "-o", f"{tmp_path}/mine.tar", "mine", "other/mine")
    code, _, error = command("rmi", made)
    assert code == 1
    assert "referenced in multiple repositories" in error
    assert command.out("rmi", "other/mine", "mine:1").splitlines()[:2] == [
        "Untagged: other/mine:latest",
        "Untagged: mine:1",
    ]
    loaded = command.out("load", "-i", f"{tmp_path}/mine.tar").splitlines()
    assert loaded[-2:] == ["Loaded image: mine:1", "Loaded image: other/mine:latest"]
    assert command.out("load", "-q", "-i", f"{tmp_path}/mine.tar").count("Loaded image") == 2
    command.out("rm", "cc")
    assert "deleted: sha256:" in command.out("image", "prune", "-a", "-f")
    assert "Images" in command.out("system", "df")
    assert "busybox" not in command.out("images")
    code, _, error = command("load", "-i", "/etc/passwd")
    assert code == 1
    assert "cannot be read" in error


def test_docker_py(lab: Lab) -> None:
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto")
    try:
        container = client.containers.create("busybox", "true", network_mode="none")
        image = container.commit("py", "1", message="m", author="a", changes=["ENV A=b"])
        assert image.tags == ["py:1"]
        assert image.attrs["Config"]["Env"][-1] == "A=b"
        assert next(line["Comment"] for line in image.history()) == "m"
        assert image.tag("py", "2")
        data = b"".join(client.images.get("py:2").save(named="py:2"))
        container.remove()
        client.images.remove("py:1")
        client.images.remove("py:2")
        assert [found.tags for found in client.images.load(data)] == [["py:2"]]
        assert client.df()["LayersSize"] > 0
        assert client.images.prune({"dangling": False})["ImagesDeleted"]
    finally:
        client.close()


# Programs that know archives and layouts, and no engine


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "root"))


def two_layers(store: ImageStore) -> Image:
    first = store.import_tar(archive(entry("a", content=b"1"), entry("gone")), "base")
    with store.draft() as draft:
        draft.start_from(first)
        draft.add_tar(archive(entry("b", content=b"2"), entry(".wh.gone")))
        return draft.commit(first.document, names=["two:1"], parent=first.id)


def saved(store: ImageStore, *names: str) -> bytes:
    return b"".join(saving.save(store, names))


def loaded(store: ImageStore, data: bytes) -> list[tuple[str, list[str]]]:
    events = list(loading.load(store, io.BytesIO(data)))
    return [(e.image.id, e.names) for e in events if isinstance(e, loading.Loaded)]


def test_skopeo_and_umoci_read_a_store_of_many_layers(store: ImageStore, tmp_path: Path) -> None:
    image = two_layers(store)
    layout = f"{tmp_path}/root/images"
    shown = json.loads(run("skopeo", "inspect", f"oci:{layout}:two:1"))
    assert shown["Digest"] == image.digest
    assert shown["Layers"] == [layer.digest for layer in image.layers]
    run("umoci", "unpack", "--image", f"{layout}:two:1", tmp_path / "bundle")
    assert sorted(path.name for path in (tmp_path / "bundle/rootfs").iterdir()) == ["a", "b"]
    run("skopeo", "copy", f"oci:{layout}:two:1", f"docker-archive:{tmp_path}/x.tar:two:1")
    other = ImageStore(f"{tmp_path}/other")
    assert loaded(other, (tmp_path / "x.tar").read_bytes()) == [(image.id, ["two:1"])]


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_skopeo_takes_what_labkit_saves(store: ImageStore, tmp_path: Path, kind: str) -> None:
    image = two_layers(store)
    path = tmp_path / "saved.tar"
    path.write_bytes(saved(store, "two:1"))
    shown = json.loads(run("skopeo", "inspect", "--config", f"{kind}:{path}"))
    assert shown["rootfs"]["diff_ids"] == image.diff_ids
    run("skopeo", "copy", f"{kind}:{path}", f"oci-archive:{tmp_path}/back.tar:two:1")
    other = ImageStore(f"{tmp_path}/other")
    assert loaded(other, (tmp_path / "back.tar").read_bytes())[0][1] == ["two:1"]
    back = other.resolve("two:1")
    assert back.diff_ids == image.diff_ids
    assert (back.id == image.id) == (kind == "oci-archive"), "skopeo writes Docker's config anew"


def test_podman_loads_what_labkit_saves_and_back(store: ImageStore) -> None:
    if not shutil.which("podman"):
        pytest.skip("needs podman")
    image = two_layers(store)
    with temporary_folder() as folder:  # podman wants a short path
        (folder / "saved.tar").write_bytes(saved(store, "two:1"))
        podman = (
            *("podman", "--root", f"{folder}/p", "--runroot", f"{folder}/r"),
            *("--storage-driver", "vfs"),
        )
        assert "two:1" in run(*podman, "load", "-i", f"{folder}/saved.tar")
        run(*podman, "save", "-o", f"{folder}/back.tar", "two:1")
        other = ImageStore(f"{folder}/other")
        back = loaded(other, (folder / "back.tar").read_bytes())
        assert back == [(image.id, ["two:1"])]


def test_a_saved_archive_keeps_every_byte(store: ImageStore, tmp_path: Path) -> None:
    image = two_layers(store)
    data = saved(store, "two:1", "base", image.id)
    for compressed in (data, gzip.compress(data, 1), zstandard.compress(data)):
        other = ImageStore(f"{tmp_path}/{len(compressed)}")
        assert len(loaded(other, compressed)) == 2
        assert saved(other, "two:1", "base", image.id) == data
        assert other.resolve("two:1").digest == image.digest


def test_layers_of_any_compression(store: ImageStore, tmp_path: Path) -> None:
    """Plain, gzip and zstd, as other programs write them."""
    image = two_layers(store)
    layout = f"{tmp_path}/root/images"
    for word in ("gzip", "zstd"):
        copied = ("--dest-compress-format", word, "--dest-compress", f"oci:{layout}:two:1")
        run("skopeo", "copy", *copied, f"oci-archive:{tmp_path}/{word}.tar:{word}:1")
        other = ImageStore(f"{tmp_path}/{word}")
        assert loaded(other, (tmp_path / f"{word}.tar").read_bytes()) == [(image.id, [f"{word}:1"])]
        assert other.resolve(f"{word}:1").size_bytes == image.size_bytes


# Broken and hostile


def members_of(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def remade(members: dict[str, bytes]) -> bytes:
    return archive(*(entry(name, content=data) for name, data in members.items())).getvalue()


def changed(data: bytes, **changes: bytes | None) -> bytes:
    members = members_of(data)
    for name, content in changes.items():
        found = next(known for known in members if name in known)
        if content is None:
            del members[found]
        else:
            members[found] = content
    return remade(members)


def hostile(store: ImageStore) -> dict[str, tuple[bytes, str]]:
    image = two_layers(store)
    data = saved(store, "two:1")
    layer = image.layers[1].digest[7:]
    docker_only = {n: c for n, c in members_of(data).items() if n not in ("index.json",)}
    manifest = json.loads(docker_only["manifest.json"])
    manifest[0]["Layers"].reverse()
    swapped = docker_only | {"manifest.json": json.dumps(manifest).encode()}
    manifest[0]["Layers"] = manifest[0]["Layers"][:1]
    short = docker_only | {"manifest.json": json.dumps(manifest).encode()}
    manifest[0]["Config"] = "../../../../etc/passwd"
    outside = docker_only | {"manifest.json": json.dumps(manifest).encode()}
    config = members_of(data)[f"blobs/sha256/{image.id[7:]}"]
    timeless = docker_only | {
        f"blobs/sha256/{image.id[7:]}": config.replace(b'"created":"20', b'"created":"xx')
    }
    return {
        "a time that is none": (remade(timeless), "invalid time of creation"),
        "empty": (remade({}), "holds no images"),
        "a root file system": (remade({"etc/passwd": b""}), "labkit import"),
        "cut": (data[: len(data) // 2], "cut short|cannot be read"),
        "a layer is another": (changed(data, **{layer: b"x"}), "does not match its name"),
        "a layer is missing": (changed(data, **{layer: None}), "is not in it"),
        "index.json is none": (changed(data, **{"index.json": b"[]"}), "not a valid Index"),
        "a manifest is none": (
            changed(data, **{image.digest[7:]: b"{}"}),
            "not a valid|its digest",
        ),
        "layers swapped": (remade(swapped), "invalid diffID"),
        "too few layers": (remade(short), "layers length mismatch"),
        "config outside": (remade(outside), "leads out of the archive"),
        "a name that leads out": (remade({"../x": b"", "manifest.json": b"[]"}), "leads out"),
        "a huge index": (changed(data, **{"index.json": b" " * (9 << 20)}), "at most"),
        "a bad name": (
            changed(data, **{"manifest.json": b"[]", "index.json": bad_name(data)}),
            "invalid reference format",
        ),
    }


def bad_name(data: bytes) -> bytes:
    index = json.loads(members_of(data)["index.json"])
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": "NO NAME"}
    return json.dumps(index).encode()


@pytest.mark.parametrize(
    "case",
    [
        *("empty", "a root file system", "cut", "a layer is another", "a layer is missing"),
        *("index.json is none", "a manifest is none", "layers swapped", "too few layers"),
        "a time that is none",
        *("config outside", "a name that leads out", "a huge index", "a bad name"),
    ],
)
def test_a_hostile_archive_of_images_is_refused(
    store: ImageStore, tmp_path: Path, case: str
) -> None:
    data, message = hostile(store)[case]
    other = ImageStore(f"{tmp_path}/other")
    with pytest.raises(LabkitError, match=message) as caught:
        loaded(other, data)
    assert "\n" not in str(caught.value)
    assert other.list() == []
    left = [path.name for path in (tmp_path / "other").rglob("*") if path.is_file()]
    assert sorted(left) == ["index.json", "oci-layout"]


def test_links_between_layers_of_old_archives(store: ImageStore, tmp_path: Path) -> None:
    """Docker before version 25 writes a layer once, and links to it."""
    image = two_layers(store)
    members = members_of(saved(store, "two:1"))
    manifest = json.loads(members["manifest.json"])[0]
    names = [entry(f"{n}/layer.tar", content=members[p]) for n, p in enumerate(manifest["Layers"])]
    names += [
        entry("one/layer.tar", tarfile.SYMTYPE, linkname="../0/layer.tar"),
        entry("out/layer.tar", tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("round", tarfile.SYMTYPE, linkname="round"),
        entry("c.json", content=members[manifest["Config"]]),
    ]
    manifest |= {"Config": "c.json", "Layers": ["one/layer.tar", "1/layer.tar"]}
    described = entry("manifest.json", content=json.dumps([manifest]).encode())
    other = ImageStore(f"{tmp_path}/other")
    assert loaded(other, archive(*names, described).getvalue()) == [(image.id, ["two:1"])]
    for wrong in ("out/layer.tar", "round"):
        manifest["Layers"][0] = wrong
        described = entry("manifest.json", content=json.dumps([manifest]).encode())
        data = archive(*names, described).getvalue()
        with pytest.raises(InvalidParameterError, match="is not in it"):
            loaded(ImageStore(f"{tmp_path}/{wrong[:3]}"), data)


def test_the_daemon_takes_no_memory_for_a_large_image(lab: Lab) -> None:
    def peak_bytes() -> int:
        daemon = Path(lab.run, "labkitd.pid").read_text().split()[0]
        status = Path(f"/proc/{daemon}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    script = "for i in 1 2 3 4; do head -c 20000000 /dev/urandom > /f$i; done"
    lab.cli("run", "--name", "cc", "--network=none", "busybox", "sh", "-c", script, check=True)
    before = peak_bytes()
    lab.cli("commit", "cc", "large", check=True)
    saving_ = subprocess.Popen(
        lab.argv("save", "large"), env=lab.env, cwd=PROJECT, stdout=subprocess.PIPE
    )
    lab.cli("load", stdin=saving_.stdout, check=True)
    assert saving_.wait() == 0
    lab.cli("rm", "cc", check=True)
    assert peak_bytes() - before < 20_000_000
