"""Images of several layers, from archives and writable layers: seen only when they are done."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import Image, ImageStore, models
from labkit.images.layout import DamagedStoreError, digest_of, encode
from labkit.images.models import Descriptor, Index, Platform
from tests.images import (
    DOCUMENT,
    archive,
    assert_nothing_left,
    entry,
    run,
    survey,
)
from tests.leaks import RUN_NAME

pytestmark = pytest.mark.root

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep


@contextmanager
def union(folder: Path, lower: list[str], upper: Path | None = None) -> Iterator[Path]:
    """The layers as a container would see them; with `upper`, as it would change them."""
    mount = folder / "merged"
    mount.mkdir(exist_ok=True)
    options = f"lowerdir={':'.join([*lower, str(folder)] if len(lower) < 2 else lower)}"
    if upper:
        work = folder / "work"
        work.mkdir(exist_ok=True)
        options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "-o", options, f"{RUN_NAME}-images", mount)
    try:
        yield mount
    finally:
        run("umount", mount)


def base(store: ImageStore) -> Image:
    return store.import_tar(
        archive(
            *(entry("keep", content=b"1"), entry("gone", content=b"2"), entry("was-file")),
            *(entry("dir", tarfile.DIRTYPE), entry("dir/old"), entry("dir/sub/deep")),
            *(entry("gone-dir/a"), entry("was-dir/a"), entry("etc/hosts", content=b"own")),
        ),
        "base",
    )


CHANGES = """
set -e
cd "$1"
rm -rf gone gone-dir dir was-file was-dir
mkdir dir was-file; echo new > dir/new; echo file > was-dir
echo x > one; ln one two; ln -s /etc/passwd link; mkfifo pipe; mknod null c 1 3
mkdir -p "$(printf 'long-%050d/%0120d' 1 2)"; echo long > "$(printf 'long-%050d/%0120d' 1 2)/f"
truncate -s 50M sparse; printf end >> sparse
chown 12345:3000000 one; chmod 4711 one; chmod 1777 dir
touch -d '2001-02-03 04:05:06.123456789' one dir
echo more >> keep
mkdir proc sys dev; touch etc/resolv.conf
"""


def changed(folder: Path, image: Image) -> Path:
    """An upper folder in which every kind of change was made through overlayfs."""
    upper = folder / "upper"
    upper.mkdir(mode=0o755)
    with union(folder, image.layer_directories(), upper) as mount:
        run("sh", "-c", CHANGES, "sh", mount)
        os.setxattr(mount / "one", "security.capability", CAPABILITY)
        os.setxattr(mount / "dir", "user.note", b"\xff\x00")
    return upper


def seen(folder: Path, image: Image) -> dict[str, tuple[object, ...]]:
    with union(folder, image.layer_directories()) as mount:
        return survey(mount)


def test_a_writable_layer_becomes_a_layer(store: ImageStore, root: Path, folder: Path) -> None:
    """Moved, packed, and unpacked again from the blob, it shows what the container saw."""
    image = base(store)
    upper = changed(folder, image)
    with union(folder, image.layer_directories(), upper) as mount:
        expected = survey(mount)
    for name in ("proc", "sys", "dev", "etc/resolv.conf"):
        del expected[name]  # mount points that labkit makes
    os.utime(upper, ns=(0, 0))
    with store.draft() as draft:
        draft.start_from(image)
        layer = draft.add_upper(str(upper))
        made = draft.commit(DOCUMENT, names=["new"], parent=image.id)
    assert not upper.exists()
    assert made.parent == image.id
    assert [child.tags for child in store.children(image.id)] == [["new:latest"]]
    assert made.diff_ids == [*image.diff_ids, layer.diff_id]
    moved = seen(folder, made)
    names = {name for name in expected if name not in (".", "etc")}
    assert {name: moved[name] for name in names} == {name: expected[name] for name in names}
    assert moved.keys() == expected.keys()
    with store.open_blob(layer.descriptor.digest) as blob, tarfile.open(fileobj=blob) as tar:
        packed = tar.getnames()
    assert ".wh.gone" in packed
    assert "dir/.wh..wh..opq" in packed
    plain = [name.replace(".wh..wh..opq", "").replace(".wh.", "").split("/") for name in packed]
    assert plain == sorted(plain)
    run("rm", "-rf", root / "layers")
    (root / "layers").mkdir()
    unpacked = seen(folder, ImageStore(str(root)).resolve("new"))
    assert {name: unpacked[name] for name in names} == {name: expected[name] for name in names}


def test_a_copied_layer_is_the_same_and_the_folder_stays(store: ImageStore, folder: Path) -> None:
    image = base(store)
    upper = changed(folder, image)
    with store.draft() as draft:
        draft.start_from(image)
        copied = draft.copy_upper(str(upper))
        one = draft.commit(DOCUMENT)
    with store.draft() as draft:
        draft.start_from(image)
        moved = draft.add_upper(str(upper))
        assert draft.commit(DOCUMENT).id == one.id
    assert copied.diff_id == moved.diff_id
    assert copied.size_bytes == moved.size_bytes


def test_the_root_of_the_lowest_layer_shows_through(store: ImageStore, folder: Path) -> None:
    top = entry(".", tarfile.DIRTYPE)
    top[0].mode, top[0].uid = 0o2751, 77
    with store.draft() as draft:
        draft.add_tar(archive(top, entry("a")))
        draft.add_tar(archive(entry("b"), entry(".wh.a")))
        image = draft.commit(DOCUMENT)
    found = seen(folder, image)
    assert found["."][:2] == ("0o42751", 77)
    assert set(found) == {".", "b", "(hard links)"}


def test_without_a_commit_nothing_was(store: ImageStore, root: Path) -> None:
    with store.draft() as draft:
        draft.add_tar(archive(entry("a")))
        draft.add_tar(archive(entry("b")))
        assert len(draft.layer_directories()) == 2
    assert_nothing_left(store, root)
    with pytest.raises(InvalidParameterError), store.draft() as draft:
        draft.add_tar(archive(entry("a")))
        draft.add_tar(io.BytesIO(b"no archive"))
    assert_nothing_left(store, root)


def test_what_a_draft_stands_on_stays_until_it_ends(store: ImageStore, root: Path) -> None:
    image = base(store)
    with store.draft() as draft:
        draft.start_from(image)
        store.remove("base")
        assert Path(draft.layer_directories()[0], "keep").exists()
        draft.add_tar(archive(entry("more")))
        made = draft.commit(DOCUMENT, names=["new"])
    assert len(made.layer_directories()) == 2
    assert not (root / "images/blobs/sha256" / image.id.removeprefix("sha256:")).exists()
    with store.draft() as draft:
        draft.start_from(made)
        store.remove("new")
        assert draft.has_blob(made.layers[0].digest)
    assert_nothing_left(store, root)


def test_a_file_of_a_layers_own_words_cannot_be_kept(store: ImageStore, folder: Path) -> None:
    upper = folder / "upper"
    upper.mkdir()
    (upper / ".wh.x").write_text("")
    with store.draft() as draft, pytest.raises(InvalidParameterError, match=r"/\.wh\.x cannot be"):
        draft.copy_upper(str(upper))


def received(image: Image, store: ImageStore, **changes: object) -> tuple[Descriptor, bytes]:
    manifest = store.blob_bytes(image.digest).replace(
        models.MANIFEST.encode(), models.DOCKER_MANIFEST.encode()
    )
    return Descriptor(models.DOCKER_MANIFEST, digest_of(manifest), len(manifest)), manifest


def adopt_all(draft: object, folder: Path, other: ImageStore, image: Image) -> None:
    for blob in (image.manifest.config, *image.layers):
        path = folder / "downloaded"
        with other.open_blob(blob.digest) as file:
            path.write_bytes(file.read())
        draft.adopt_blob(str(path), blob)  # type: ignore[attr-defined]


def test_a_received_manifest_is_kept_byte_for_byte(
    store: ImageStore, root: Path, folder: Path
) -> None:
    other = ImageStore(str(folder / "other"))
    image = base(other)
    descriptor, manifest = received(image, other)
    with store.draft() as draft, pytest.raises(NotFoundError, match=r"no blob sha256"):
        draft.commit_manifest(descriptor, manifest, names=["pulled"])
    assert_nothing_left(store, root)
    with store.draft() as draft:
        adopt_all(draft, folder, other, image)
        found = draft.commit_manifest(descriptor, manifest, names=["pulled:1"])
    assert (found.id, found.digest, found.tags) == (image.id, descriptor.digest, ["pulled:1"])
    assert store.blob_bytes(descriptor.digest) == manifest
    assert Path(found.layer_directories()[0], "keep").read_bytes() == b"1"
    with store.draft() as draft, pytest.raises(InvalidParameterError, match="its digest is"):
        draft.commit_manifest(descriptor, manifest + b" ")
    store.remove("pulled:1")
    assert_nothing_left(store, root)


def test_an_index_stands_for_its_image_of_this_machine(
    store: ImageStore, root: Path, folder: Path
) -> None:
    other = ImageStore(str(folder / "other"))
    image = base(other)
    absent = Descriptor(
        models.MANIFEST, "sha256:" + "0" * 64, 7, platform=Platform("s390x", "linux")
    )
    own = Descriptor(
        models.MANIFEST,
        image.digest,
        len(other.blob_bytes(image.digest)),
        platform=Platform(image.architecture, "linux"),
    )
    descriptor, data = encode(Index(2, models.INDEX, manifests=[absent, own]), models.INDEX)
    with store.draft() as draft:
        adopt_all(draft, folder, other, image)
        draft.add_document(other.blob_bytes(image.digest), models.MANIFEST)
        found = draft.commit_manifest(descriptor, data, names=["many"])
    assert (found.id, found.digest) == (image.id, descriptor.digest)
    fresh = ImageStore(str(root)).resolve("many")
    assert Path(fresh.layer_directories()[0], "keep").exists()
    store.remove("many")
    assert_nothing_left(store, root)
    alone, data = encode(Index(2, models.INDEX, manifests=[absent]), models.INDEX)
    with store.draft() as draft, pytest.raises(NotFoundError, match=r"it has linux/s390x"):
        draft.commit_manifest(alone, data)
    assert_nothing_left(store, root)


def test_a_name_means_its_own_entry_beside_an_image_of_the_same_id(store: ImageStore) -> None:
    image = base(store)
    member = store.own_manifest(image)
    member.platform = Platform(image.architecture, "linux")
    descriptor, data = encode(Index(2, models.INDEX, manifests=[member]), models.INDEX)
    store.tag(image.id, "alone")
    with store.draft() as draft:
        found = draft.commit_manifest(descriptor, data)
    store.name(found, "many")
    assert found.id == image.id
    for name, wanted in (("many", descriptor), ("alone", member)):
        named = store.resolve(name)
        assert (named.id, store.entry(named).digest) == (image.id, wanted.digest)
        assert store.own_manifest(named).digest == member.digest


def test_layers_that_are_not_what_they_should_be(
    store: ImageStore, root: Path, folder: Path
) -> None:
    other = ImageStore(str(folder / "other"))
    image = base(other)
    wrong = archive(entry("other")).getvalue()
    blob = Descriptor(models.LAYER, f"sha256:{hashlib.sha256(wrong).hexdigest()}", len(wrong))
    manifest = models.Manifest(2, image.manifest.config, [blob], media_type=models.MANIFEST)
    for size, message in ((len(wrong), "but its image says"), (5, "its manifest says 5")):
        blob.size = size
        descriptor, data = encode(manifest, models.MANIFEST)
        with store.draft() as draft:
            adopt_all(draft, folder, other, image)
            path = folder / "wrong"
            path.write_bytes(wrong)
            draft.adopt_blob(str(path), blob)
            with pytest.raises(DamagedStoreError, match=message):
                draft.commit_manifest(descriptor, data, names=["x"])
        assert_nothing_left(store, root)


DIE = """
import os, sys
from labkit.images import ImageStore
from labkit.images.store import new_document
from labkit.images.models import RuntimeConfig
store = ImageStore(sys.argv[1])
with store.draft() as draft:
    draft.start_from(store.resolve("base"))
    draft.add_tar(open(sys.argv[2], "rb"))
    store.remove("base")
    os.kill(os.getpid(), 9)
"""


def test_the_next_one_takes_out_what_a_killed_draft_held(
    store: ImageStore, root: Path, folder: Path
) -> None:
    base(store)
    (folder / "tar").write_bytes(archive(entry("a")).getvalue())
    killed = subprocess.run([sys.executable, "-c", DIE, root, folder / "tar"], check=False)
    assert killed.returncode == -9
    assert len(os.listdir(root / "layers")) == 4
    assert_nothing_left(ImageStore(str(root)), root)
