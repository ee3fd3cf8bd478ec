"""The image store on a real disk: what goes in comes out, other programs read it, hostile archives
and crashes leave nothing behind.
"""

import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit.errors import ConflictError, InvalidParameterError, NotFoundError
from labkit.images import Image, ImageStore, layers
from labkit.images.base import build_busybox
from labkit.images.staging import Folder
from tests.leaks import RUN_NAME

pytestmark = pytest.mark.root

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own; trees with devices and odd names do not stay in pytest's."""
    path = tempfile.mkdtemp(prefix=f"{RUN_NAME}-images-")
    yield Path(path)
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def root(folder: Path) -> Path:
    return folder / "root"


@pytest.fixture
def store(root: Path) -> ImageStore:
    return ImageStore(str(root))


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def tree_of(image: Image) -> Path:
    (layer,) = image.layer_directories()
    return Path(layer)


def survey(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything about every file of a tree that an image keeps."""
    seen: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files] if folder == str(root) else [*folders, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            found = os.lstat(path)
            short = os.path.relpath(path, root)
            content: object = None
            if stat.S_ISREG(found.st_mode):
                content = Path(path).read_bytes()
                inodes.setdefault(found.st_ino, []).append(short)
            elif stat.S_ISLNK(found.st_mode):
                content = os.readlink(path)
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
            }
            seen[short] = (
                *(oct(found.st_mode), found.st_uid, found.st_gid, found.st_rdev),
                *(found.st_mtime_ns, content, attributes),
            )
    links = sorted(sorted(names) for names in inodes.values() if len(names) > 1)
    seen["(hard links)"] = (links,)
    return seen


def make_odd_tree(root: Path) -> None:
    """A root file system with one of everything."""
    for name in ("bin", "etc", "tmp", "empty", "home/user"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "bin/tool").write_bytes(os.urandom(600_000))
    (root / "bin/tool").chmod(0o4755)
    os.link(root / "bin/tool", root / "bin/same")
    os.setxattr(root / "bin/tool", "security.capability", CAPABILITY)
    (root / "etc/ünïcode").write_text("text")
    Path(os.fsdecode(os.fsencode(root) + b"/etc/latin\xe9")).write_text("not UTF-8")
    (root / "etc" / ("long" * 60)).write_text("a long name")
    (root / "home/user/file").write_text("mine")
    os.setxattr(root / "home/user/file", "user.note", b"\x00\xff\nkept")
    shutil.chown(root / "home/user", 1000, 1001)
    os.chown(root / "home/user/file", 100_000, 2_000_000_000)
    os.symlink("/etc/nothing", root / "etc/dangling")
    os.symlink("../bin/tool", root / "etc/link")
    os.lchown(root / "etc/link", 5, 6)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 300))
    os.mkfifo(root / "pipe", 0o600)
    with (root / "sparse").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"in the middle")
    for number, name in enumerate(("etc/link", "bin/tool", "pipe", "home/user", "empty", "etc")):
        time_ns = 1_600_000_000_123_456_789 + number
        os.utime(root / name, ns=(time_ns, time_ns), follow_symlinks=False)


def tar_of(tree: Path, *options: str) -> subprocess.Popen[bytes]:
    command = ["tar", "--create", "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse"]
    return subprocess.Popen([*command, *options, "-C", tree, "."], stdout=subprocess.PIPE)


# What goes in comes out


@pytest.mark.parametrize("options", [(), ("--gzip",), ("--zstd",)])
def test_the_layer_is_the_tree_that_was_packed(
    folder: Path, store: ImageStore, options: tuple[str, ...]
) -> None:
    source = folder / "source"
    source.mkdir()
    make_odd_tree(source)
    with tar_of(source, *options) as tar:
        assert tar.stdout
        image = store.import_tar(tar.stdout, "odd")
    tree = tree_of(image)
    assert survey(tree) == survey(source)
    assert (tree / "sparse").stat().st_blocks * 512 < 1_000_000
    files = [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = {path.stat().st_ino: path.stat().st_size for path in files}
    assert image.size_bytes == sum(sizes.values())


def test_an_image_is_found_by_its_names_and_ids(store: ImageStore) -> None:
    image = store.import_tar(
        archive(entry("file")), "lab/image:v1", ['CMD ["sh"]', "ENV A=b"], "a message"
    )
    assert image.tags == ["lab/image:v1"]
    assert image.config.cmd == ["sh"]
    assert image.config.env == ["A=b"]
    assert image.history[0].comment == "a message"
    assert image.os == "linux"
    for reference in (
        *("lab/image:v1", "docker.io/lab/image:v1", image.id, image.id[7:], image.id[7:19]),
        *(image.id[:9], f"lab/image@{image.digest}"),
    ):
        assert store.resolve(reference).id == image.id, reference
    assert [listed.id for listed in store.list()] == [image.id]
    with pytest.raises(NotFoundError, match=r"^No such image: lab/image:latest$"):
        store.resolve("lab/image")
    with pytest.raises(NotFoundError, match=r"^No such image: nosuch:latest$"):
        store.resolve("nosuch")
    with pytest.raises(NotFoundError, match=r"^No such image: sha256:0000"):
        store.resolve(f"sha256:{'0' * 64}")


def test_a_name_moves_to_the_newer_image(store: ImageStore) -> None:
    old = store.import_tar(archive(entry("old")), "x")
    new = store.import_tar(archive(entry("new")), "x")
    assert store.resolve("x").id == new.id
    assert store.resolve(old.id).tags == []
    store.tag(old.id, "y:1")
    assert store.resolve("y:1").id == old.id
    assert sorted(tag for image in store.list() for tag in image.tags) == ["x:latest", "y:1"]


def test_what_is_shared_stays_until_its_last_image_goes(store: ImageStore, root: Path) -> None:
    one = store.import_tar(archive(entry("file")), "one", ["ENV N=1"])
    two = store.import_tar(archive(entry("file")), "two", ["ENV N=2"])
    assert one.id != two.id
    assert one.layer_directories() == two.layer_directories()
    assert store.remove("one") == [{"Untagged": "one:latest"}, {"Deleted": one.id}]
    assert tree_of(two).joinpath("file").exists()
    assert store.remove(two.id)[-1] == {"Deleted": two.id}
    left = [path for path in root.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == ["index.json", "oci-layout"]
    assert store.list() == []


def test_an_image_that_is_needed_is_not_deleted(store: ImageStore) -> None:
    image = store.import_tar(archive(entry("file")), "x")
    store.tag("x", "y")
    with pytest.raises(ConflictError, match="referenced in multiple repositories"):
        store.remove(image.id)
    assert store.remove("y") == [{"Untagged": "y:latest"}]
    users = {image.id: "0123456789ab"}
    with pytest.raises(ConflictError, match=r"\(must force\) - container 0123456789ab is using"):
        store.remove("x", users=users)
    with pytest.raises(ConflictError, match="cannot be forced"):
        store.remove(image.id, users=users, force=True)
    assert store.remove("x", users=users, force=True) == [{"Untagged": "x:latest"}]
    assert store.resolve(image.id).tags == []
    assert tree_of(image).is_dir()


# Other programs


def test_skopeo_and_umoci_read_the_store(store: ImageStore, root: Path, folder: Path) -> None:
    image = store.import_tar(archive(entry("file", content=b"hi")), "lab:1", ['CMD ["sh"]'])
    inspected = json.loads(run("skopeo", "inspect", f"oci:{root}/images:lab:1"))
    assert inspected["Digest"] == image.digest
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{root}/images:lab:1"))
    assert config["config"]["Cmd"] == ["sh"]
    assert run("umoci", "list", "--layout", root / "images") == "lab:1\n"
    run("umoci", "unpack", "--image", f"{root}/images:lab:1", folder / "bundle")
    assert (folder / "bundle/rootfs/file").read_text() == "hi"


def test_layers_of_another_program_are_stacked_as_it_meant(
    store: ImageStore, root: Path, folder: Path
) -> None:
    """umoci adds a layer with whiteouts; overlayfs over labkit's folders shows what umoci shows."""
    store.import_tar(
        archive(
            *(entry("keep", content=b"1"), entry("gone", content=b"2"), entry("was-file")),
            *(entry("dir", tarfile.DIRTYPE), entry("dir/old"), entry("dir/sub/deep")),
            *(entry("gone-dir/a"), entry("was-dir/a")),
        ),
        "lab:1",
    )
    bundle = folder / "bundle"
    rootfs = bundle / "rootfs"
    run("umoci", "unpack", "--image", f"{root}/images:lab:1", bundle)
    (rootfs / "gone").unlink()
    shutil.rmtree(rootfs / "gone-dir")
    shutil.rmtree(rootfs / "dir")
    (rootfs / "dir").mkdir()
    (rootfs / "dir/new").write_text("new")
    (rootfs / "was-file").unlink()
    (rootfs / "was-file").mkdir()
    shutil.rmtree(rootfs / "was-dir")
    (rootfs / "was-dir").write_text("file now")
    run("umoci", "repack", "--image", f"{root}/images:lab:2", bundle)

    image = store.resolve("lab:2")
    folders = image.layer_directories()
    assert len(folders) == 2
    assert folders[1:] == store.resolve("lab:1").layer_directories()
    assert stat.S_ISCHR(os.lstat(f"{folders[0]}/gone").st_mode)
    mount = folder / "merged"
    mount.mkdir()
    options = f"ro,lowerdir={':'.join(folders)}"
    run("mount", "-t", "overlay", "-o", options, f"{RUN_NAME}-images", mount)
    try:
        merged = {name: facts[:-2] for name, facts in survey(mount).items() if name != "."}
        expected = {name: facts[:-2] for name, facts in survey(rootfs).items() if name != "."}
    finally:
        run("umount", mount)
    assert {n: f[:4] for n, f in merged.items()} == {n: f[:4] for n, f in expected.items()}


def test_whiteouts_become_overlays(store: ImageStore, folder: Path) -> None:
    members = archive(
        *(entry("a/.wh.hidden"), entry("b", tarfile.DIRTYPE), entry("b/.wh..wh..opq")),
        *(entry(".wh.c"), entry("c", tarfile.DIRTYPE), entry("d/x"), entry(".wh.d")),
        *(entry(".wh.e"), entry("e/inner"), entry(".wh..wh.plnk"), entry("f"), entry(".wh.f")),
        *(entry("gone/.wh.child"), entry(".wh.gone"), entry("file/.wh.child"), entry("file")),
        *(entry("link", tarfile.SYMTYPE, linkname="b"), entry("link/.wh.child")),
    )
    lock_fd = os.open(folder, os.O_RDONLY)
    try:
        layers.unpack(members, Folder(str(folder), lock_fd), lowest=False)
    finally:
        os.close(lock_fd)
    tree = folder / "tree"
    hidden = os.lstat(tree / "a/hidden")
    assert stat.S_ISCHR(hidden.st_mode)
    assert hidden.st_rdev == os.makedev(0, 0)
    for name in ("b", "c", "d", "e"):
        assert os.getxattr(tree / name, "trusted.overlay.opaque") == b"y", name
    assert os.listxattr(tree / "a") == []
    assert (tree / "f").is_file()
    assert (tree / "file").is_file()
    assert stat.S_ISCHR(os.lstat(tree / "gone").st_mode)
    assert os.listdir(tree / "b") == []
    assert not [path for path in tree.rglob("*") if path.name.startswith(".wh.")]


def test_the_lowest_layer_has_nothing_to_hide(store: ImageStore) -> None:
    image = store.import_tar(archive(entry("a"), entry(".wh.b"), entry("c/.wh..wh..opq")), "x")
    assert sorted(os.listdir(tree_of(image))) == ["a"]


def test_a_lost_tree_is_unpacked_again_from_its_blob(store: ImageStore) -> None:
    image = store.import_tar(archive(entry("file", content=b"hi")), "x")
    shutil.rmtree(tree_of(image).parent / tree_of(image).name)
    assert (tree_of(store.resolve("x")) / "file").read_text() == "hi"


def test_a_blob_that_was_changed_is_noticed(store: ImageStore, root: Path) -> None:
    image = store.import_tar(archive(entry("file")), "x")
    other = store.import_tar(archive(entry("other")), "other")
    config = root / "images/blobs/sha256" / image.id.removeprefix("sha256:")
    config.write_bytes(config.read_bytes().replace(b"linux", b"minix"))
    fresh = ImageStore(str(root))
    with pytest.raises(Exception, match="is not what its name says"):
        fresh.resolve("x")
    assert [found.id for found in fresh.list()] == [other.id]


# Hostile and broken archives


def outside(folder: Path) -> tuple[Path, bytes]:
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"untouched")
    return victim, b"untouched"


def assert_nothing_left(store: ImageStore, root: Path) -> None:
    assert store.list() == []
    assert os.listdir(root / "staging") == []
    assert os.listdir(root / "layers") == []
    assert os.listdir(root / "images/blobs/sha256") == []


HOSTILE = {
    "parent": ([entry("../../victim/file", content=b"x")], "leads out of the image"),
    "parent in the middle": ([entry("a/../../../victim/file")], "leads out of the image"),
    "hard link out": (
        [entry("link", tarfile.LNKTYPE, linkname="../../victim/file")],
        "leads out of the image",
    ),
    "hard link to the host": (
        [entry("link", tarfile.LNKTYPE, linkname="/etc/passwd")],
        "not there",
    ),
    "root is a file": ([entry(".", content=b"x")], "the root of an image is a folder"),
    "file below a file": ([entry("a"), entry("a/b")], "'a/b': Not a directory"),
    "whiteout of the parent": ([entry("a/.wh...")], "whiteout of nothing"),
    "NUL in a name": ([entry("x", pax_headers={"path": "a\0b"})], "null"),
    "an owner out of range": ([entry("x", pax_headers={"uid": str(1 << 40)})], "'x': "),
    "too deep": ([entry("a/" * 1900 + "x")], "'x'|too deeply|File name too long"),
    "an unknown type": ([entry("x", b"V")], "type b'V'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(
    store: ImageStore, root: Path, folder: Path, case: str
) -> None:
    victim, content = outside(folder)
    members, message = HOSTILE[case]
    with pytest.raises(InvalidParameterError, match=message) as caught:
        store.import_tar(archive(entry("first"), *members), "x")
    assert "\n" not in str(caught.value)
    assert os.listdir(victim) == ["file"]
    assert (victim / "file").read_bytes() == content
    assert_nothing_left(store, root)


def test_absolute_names_and_links_stay_inside(store: ImageStore, folder: Path) -> None:
    victim, content = outside(folder)
    image = store.import_tar(
        archive(
            entry(str(victim / "file"), content=b"inside"),
            entry("way-out", tarfile.SYMTYPE, linkname=str(victim)),
            entry("way-out/file", content=b"through the link"),
            entry("etc/x", content=b"x"),
            entry("etc-link", tarfile.SYMTYPE, linkname="/etc"),
            entry("etc-link/passwd", content=b"an image's own"),
            entry("file", content=b"replaced"),
            entry("file", tarfile.SYMTYPE, linkname="/etc/x"),
            entry("file", content=b"the last one counts"),
        ),
        "x",
    )
    tree = tree_of(image)
    assert (victim / "file").read_bytes() == content
    assert Path(f"{tree}{victim}/file").read_bytes() == b"through the link"
    assert (tree / "etc/passwd").read_bytes() == b"an image's own"
    assert (tree / "etc/x").read_bytes() == b"x"
    assert (tree / "file").read_bytes() == b"the last one counts"


def test_overlays_own_attributes_do_not_come_from_an_archive(store: ImageStore) -> None:
    headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.a": "b"}
    image = store.import_tar(archive(entry("d", tarfile.DIRTYPE, pax_headers=headers)), "x")
    assert os.listxattr(tree_of(image) / "d") == ["user.a"]


BROKEN = (
    *("no archive", "text", "empty", "cut in a file", "cut between files", "damaged header"),
    *("cut gzip",),
)


def broken(kind: str) -> bytes:
    good = archive(*(entry(f"file{n}", content=os.urandom(5000)) for n in range(20))).getvalue()
    damaged = bytearray(good)
    damaged[512 * 11 : 512 * 11 + 512] = os.urandom(512)  # the second member's header
    return {
        "no archive": os.urandom(10_000),
        "text": b"hello\n",
        "empty": b"",
        "cut in a file": good[: 512 * 30 + 77],
        "cut between files": good[: 512 * 11 + 100],
        "damaged header": bytes(damaged),
        "cut gzip": gzip.compress(good)[:-500],
    }[kind]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_archive_is_refused_and_leaves_nothing(
    store: ImageStore, root: Path, kind: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        store.import_tar(io.BytesIO(broken(kind)), "x")
    assert "\n" not in str(caught.value)
    assert_nothing_left(store, root)


def test_a_stream_that_fails_leaves_nothing(store: ImageStore, root: Path) -> None:
    data = archive(entry("file", content=bytes(3_000_000)))

    class Gone(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if data.tell() > 1_000_000:
                raise ConnectionResetError
            return data.read(size)

    with pytest.raises(ConnectionResetError):
        store.import_tar(Gone(), "x")  # type: ignore[arg-type]
    assert_nothing_left(store, root)


# Crashes and company


def test_killing_the_unpacker_leaves_nothing(store: ImageStore, root: Path) -> None:
    data = archive(entry("a", content=bytes(3_000_000)), entry("b", content=bytes(3_000_000)))

    class Murder(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if data.tell() > 2_000_000:
                for child in psutil.Process().children():
                    if any("unpacker" in word for word in child.cmdline()):
                        child.kill()
            return data.read(size)

    with pytest.raises(InvalidParameterError, match="ended by signal 9"):
        store.import_tar(Murder(), "x")  # type: ignore[arg-type]
    assert_nothing_left(store, root)


IMPORT = "import sys; from labkit.images import ImageStore; " + (
    "print(ImageStore(sys.argv[1]).import_tar(sys.stdin.buffer, sys.argv[2]).id)"
)


def test_killing_the_whole_engine_leaves_what_the_next_one_removes(root: Path) -> None:
    before = ImageStore(str(root))
    kept = before.import_tar(archive(entry("kept")), "kept")
    data = archive(*(entry(f"f{n}", content=os.urandom(100_000)) for n in range(60))).getvalue()
    with subprocess.Popen(
        [sys.executable, "-c", IMPORT, root, "x"], stdin=subprocess.PIPE
    ) as engine:
        assert engine.stdin
        engine.stdin.write(data[: len(data) // 2])
        engine.stdin.flush()
        wait_for(lambda: any((root / "staging").glob("*/tree/f1?")))
        children = psutil.Process(engine.pid).children()
        ImageStore(str(root))
        assert os.listdir(root / "staging"), "another process's work in progress was swept away"
        engine.kill()
        engine.wait()
        psutil.wait_procs(children, timeout=10)
        assert [image.id for image in before.list()] == [kept.id]
        assert len(os.listdir(root / "layers")) == 2, "the kept layer and its note"
        assert os.listdir(root / "staging")
        assert [image.id for image in ImageStore(str(root)).list()] == [kept.id]
        assert os.listdir(root / "staging") == []


KILL_AT = """
import os, sys
from labkit.images import ImageStore
from labkit.images.layers import Layers
from labkit.images.layout import Layout

root, what, owner, name, when, count = sys.argv[1:]
owner = {"Layers": Layers, "Layout": Layout}[owner]
original, calls = getattr(owner, name), []

def deadly(self, *arguments):
    calls.append(1)
    last = len(calls) == int(count)
    if last and when == "before":
        os.kill(os.getpid(), 9)
    original(self, *arguments)
    if last:
        os.kill(os.getpid(), 9)

store = ImageStore(root)
setattr(owner, name, deadly)
if what == "import":
    store.import_tar(sys.stdin.buffer, "kept")
else:
    store.remove("going")
"""


@pytest.mark.parametrize(
    "moment",
    [
        "import Layers adopt before 1",
        "import Layers adopt after 1",
        "import Layout adopt_blob after 1",
        "import Layout write_blob after 1",
        "import Layout write_index before 1",
        "import Layout write_index after 1",
        "remove Layout write_index before 1",
        "remove Layout write_index after 1",
        "remove Layers take_out after 1",
        "remove Layout remove_blob after 2",
    ],
)
def test_killed_at_any_moment_nothing_is_half_there(root: Path, moment: str) -> None:
    """Whatever is on disk afterwards belongs to an image in the index, and is whole."""
    store = ImageStore(str(root))
    store.import_tar(archive(entry("old")), "kept")
    store.import_tar(archive(entry("own")), "going")
    new = archive(entry("new")).getvalue()
    command = [sys.executable, "-c", KILL_AT, str(root), *moment.split()]
    killed = subprocess.run(command, input=new, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()

    after = ImageStore(str(root))
    images = after.list()
    did_happen = moment.split()[1:4] == ["Layout", "write_index", "after"]
    if moment.startswith("import"):
        assert ("new" in os.listdir(tree_of(after.resolve("kept")))) == did_happen
    assert after.resolve("kept").tags == ["kept:latest"]
    blobs = {blob.digest for image in images for blob in (*image.layers, image.manifest.config)}
    blobs |= {image.digest for image in images}
    on_disk = {f"sha256:{name}" for name in os.listdir(root / "images/blobs/sha256")}
    assert on_disk == blobs
    trees = {tree_of(image).name for image in images}
    assert set(os.listdir(root / "layers")) == trees | {f"{name}.json" for name in trees}
    assert os.listdir(root / "staging") == []


def wait_for(condition: object, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_threads_and_processes_write_at_once(store: ImageStore, root: Path) -> None:
    threads = [
        threading.Thread(target=store.import_tar, args=(archive(entry(f"t{n}")), f"thread:{n}"))
        for n in range(6)
    ]
    processes = []
    for number in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, root, f"process:{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert process.stdin
        process.stdin.write(archive(entry(f"p{number}")).getvalue())
        process.stdin.close()
        processes.append(process)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    expected = {f"thread:{n}" for n in range(6)} | {f"process:{n}" for n in range(3)}
    assert {tag for image in store.list() for tag in image.tags} == expected
    for name in expected:
        assert tree_of(store.resolve(name)).is_dir()


# Base images


def test_busybox_is_made_once_and_runs(store: ImageStore, root: Path) -> None:
    lines: list[str] = []
    image = build_busybox(store, lines.append)
    assert image.tags == ["busybox:latest"]
    assert image.config.cmd == ["sh"]
    tree = tree_of(image)
    output = run("chroot", tree, "/bin/sh", "-c", "id -un; ls -l /etc/passwd; /usr/bin/env | wc -l")
    assert output.startswith("root\n-rw-r--r--")
    assert (tree / "bin/ls").stat().st_nlink == len(os.listdir(tree / "bin"))
    assert stat.S_IMODE((tree / "tmp").stat().st_mode) == 0o1777
    build_busybox(store, lines.append)
    assert lines[-1] == "busybox: there already"
    assert build_busybox(store, lines.append, refresh=True).id == image.id
    assert len(store.list()) == 1
    run(sys.executable, "-m", "labkit.images.base", "busybox", "--root", root)
    assert [found.id for found in store.list()] == [image.id]
