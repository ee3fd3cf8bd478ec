"""The image store on a real disk: what goes in comes out, and other programs read it."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from labkit.errors import ConflictError, NotFoundError
from labkit.images import ImageStore, layers
from labkit.images.base import build_busybox
from labkit.images.removal import ImageUser
from labkit.images.staging import Folder
from tests.images import archive, entry, run, survey, tree_of
from tests.leaks import RUN_NAME

pytestmark = pytest.mark.root

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep


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
    gone = [{"Deleted": two.id}, {"Deleted": two.diff_ids[0]}]
    assert store.remove(two.id)[-2:] == gone
    left = [path for path in root.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == ["index.json", "oci-layout"]
    assert store.list() == []


def test_an_image_that_is_needed_is_not_deleted(store: ImageStore) -> None:
    image = store.import_tar(archive(entry("file")), "x")
    store.tag("x", "y")
    with pytest.raises(ConflictError, match="referenced in multiple repositories"):
        store.remove(image.id)
    assert store.remove("y") == [{"Untagged": "y:latest"}]
    users = {image.id: ImageUser("0123456789abcdef", True)}
    with pytest.raises(ConflictError, match=r"\(must force\) - container 0123456789ab is using"):
        store.remove("x", users=users)
    with pytest.raises(ConflictError, match=r"cannot be forced.*by running container 0123456789ab"):
        store.remove(image.id, users=users, force=True)
    users = {image.id: ImageUser("0123456789abcdef", False)}
    with pytest.raises(ConflictError, match=r"must be forced.*by stopped container 0123456789ab"):
        store.remove(image.id, users=users)
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
        layers.unpack(members, Folder(str(folder), lock_fd), str(folder))
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
    with pytest.raises(Exception, match="does not match the digest in its name"):
        fresh.resolve("x")
    assert [found.id for found in fresh.list()] == [other.id]


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
    assert lines[-1] == "busybox: it exists already"
    assert build_busybox(store, lines.append, refresh=True).id == image.id
    assert len(store.list()) == 1
    run(sys.executable, "-m", "labkit.images.base", "busybox", "--root", root)
    assert [found.id for found in store.list()] == [image.id]
