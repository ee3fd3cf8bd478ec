"""Any tree of files survives tree → layer → tree → layer, bit for bit (hypothesis)."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.images import ImageStore
from tests.images import DOCUMENT, survey, temporary_folder

pytestmark = pytest.mark.root

NAMES = st.one_of(
    st.sampled_from(["a", "b", "ä ö", "x" * 200, "new\nline", "-rf", "*", "\udcff\udc80", "..."]),
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
    ),
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
OWNERS = st.sampled_from([0, 1, 65534, 2_097_152, 4_294_967_294])
TIMES = st.one_of(
    st.sampled_from(
        [0, 1, -1_000_000_000, -1_500_000_000, 253_402_300_799 * 10**9, 8_589_934_592 * 10**9]
    ),
    st.integers(0, 4_000_000_000 * 10**9),
)
LOOKS = st.tuples(st.integers(0, 0o7777), OWNERS, OWNERS, TIMES)
CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.integers(0, 300_000).map(lambda size: b"x" + bytes(size) + b"y"),
    st.integers(0, 70_000).map(bytes),
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["user.a", "user.ü", "trusted.b"]), st.binary(max_size=60), max_size=2
)
FILES = st.one_of(
    st.tuples(st.just("file"), CONTENTS, ATTRIBUTES),
    st.tuples(st.just("link"), NAMES, st.just({})),
    st.tuples(st.just("pipe"), st.none(), st.just({})),
    st.tuples(st.just("device"), st.integers(1, 255), st.just({})),
    st.tuples(st.just("hard link"), st.none(), st.just({})),
)
TREES = st.recursive(
    st.tuples(LOOKS, FILES),
    lambda inner: st.tuples(LOOKS, st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
FOLDERS = st.dictionaries(NAMES, TREES, max_size=4)


def grow(folder: bytes, tree: dict, files: list[bytes]) -> None:
    for name, (looks, what) in tree.items():
        path = os.path.join(folder, os.fsencode(name))
        if isinstance(what, dict):
            os.mkdir(path)
            grow(path, what, files)
        elif what[0] == "hard link" and files:
            os.link(files[-1], path, follow_symlinks=False)
            continue
        else:
            make(path, *what)
            files.append(path)
        mode, uid, gid, time_ns = looks
        os.lchown(path, uid, gid)
        if not os.path.islink(path):
            os.chmod(path, mode)
        os.utime(path, ns=(0, time_ns), follow_symlinks=False)


def make(path: bytes, kind: str, what: object, attributes: dict[str, bytes]) -> None:
    if kind == "link":
        os.symlink(os.fsencode(str(what)), path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR, os.makedev(int(str(what)), 3))
    else:
        Path(os.fsdecode(path)).write_bytes(what if isinstance(what, bytes) else b"")
    for name, value in attributes.items():
        os.setxattr(path, name, value, follow_symlinks=False)


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    found = survey(root)
    del found["."]
    return found


@settings(
    max_examples=25,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(tree=FOLDERS)
def test_a_tree_survives(tree: dict) -> None:
    with temporary_folder() as folder:
        upper = folder / "upper"
        upper.mkdir()
        grow(os.fsencode(upper), tree, [])
        grown = facts(upper)
        store = ImageStore(str(folder / "root"))
        with store.draft() as draft:
            copied = draft.copy_upper(str(upper))
            (unpacked,) = draft.layer_directories()
            assert facts(Path(unpacked)) == grown
            draft.commit(DOCUMENT)
        with store.draft() as draft:
            again = draft.copy_upper(unpacked)
            assert (again.diff_id, again.descriptor) == (copied.diff_id, copied.descriptor)
        with store.draft() as draft:
            moved = draft.add_upper(str(upper))
            assert moved == copied
            assert facts(Path(draft.layer_directories()[0])) == grown
