"""Stacks of layers and what a writable layer says, without a daemon."""

import os
from pathlib import Path

import pytest

from labkit.course.layers.layer_stack import Layer, LayerStacks, Stack, folder_bytes, made_by
from labkit.course.layers.union import WHITEOUT, PathView, Union, what_is_at
from labkit.images.models import History

BASE, LIBRARY = Layer("sha256:b", "imported", 100), Layer("sha256:l", "RUN make", 50)
ONE, TWO = Layer("sha256:1", "RUN one", 1), Layer("sha256:2", "RUN two", 2)


@pytest.fixture
def stacks() -> LayerStacks:
    return LayerStacks(
        [
            Stack("ann", (BASE, LIBRARY, ONE), 7),
            Stack("bob", (BASE, LIBRARY, ONE), 0),
            Stack("two", (BASE, LIBRARY, TWO)),
            Stack("other", (ONE,)),
        ]
    )


def test_what_is_shared_counts_once(stacks: LayerStacks) -> None:
    assert stacks.listed_bytes == 3 * 150 + 1 + 1 + 2 + 1 + 7
    assert stacks.disk_bytes == 150 + 1 + 2 + 1 + 7, "the same files on another base are a layer"


def test_neighbours_share_one_block(stacks: LayerStacks) -> None:
    drawn = [(one.height, one.first, one.width, one.layer) for one in stacks.blocks()]
    assert drawn == [
        (0, 0, 3, BASE),
        (0, 3, 1, ONE),
        (1, 0, 3, LIBRARY),
        (2, 0, 2, ONE),
        (2, 2, 1, TWO),
    ]


def test_the_table_says_with_whom(stacks: LayerStacks) -> None:
    rows = stacks.table().rows
    assert rows[0] == ("ann", "writable", "the container", "7B", "–")
    assert rows[1] == ("ann", "1", "RUN one", "1B", "bob")
    assert rows[3] == ("ann", "b", "imported", "100B", "bob, two")
    assert rows[-1] == ("other", "1", "RUN one", "1B", "–")


def test_the_table_names_further_images_of_the_engine() -> None:
    shown, further = Stack("one", (BASE, ONE)), Stack("busybox", (BASE,))
    rows = LayerStacks([shown], [further]).table().rows
    assert [row[-1] for row in rows] == ["–", "busybox"]


def test_the_picture_says_what_is_on_disk(stacks: LayerStacks) -> None:
    assert repr(stacks) == str(stacks.table())
    figure = stacks.plot()
    assert "462B if each had its own, 161B on disk" in figure.alt
    assert figure.png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (History(created_by="/bin/sh -c #(nop) COPY dir:ab in / "), "COPY dir:ab in /"),
        (History(created_by="/bin/sh -c make all"), "RUN make all"),
        (History(created_by="sleep 1000", comment="as it is"), "as it is"),
        (History(created_by="sleep 1000"), "sleep 1000"),
        (History(), "imported"),
    ],
)
def test_what_made_a_layer(entry: History, words: str) -> None:
    assert made_by(entry) == words


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/c").write_bytes(bytes(5))
    assert folder_bytes(str(tmp_path)) == 15


def test_what_is_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(12))
    assert what_is_at(str(tmp_path / "file")) == "12B"
    assert what_is_at(str(tmp_path)) == "folder"
    assert what_is_at(str(tmp_path / "nothing")) == ""
    assert what_is_at(str(tmp_path / "file/below")) == ""


def test_a_union_in_words_and_as_a_picture() -> None:
    gone = PathView("/gone", "3B", WHITEOUT, "", "D")
    found = Union("bob", [gone, PathView("/kept", "4B", "", "4B", "")])
    assert found["/gone"] == gone
    assert found.table().rows == (
        ("/gone", "3B", WHITEOUT, "–", "D: deleted"),
        ("/kept", "4B", "–", "4B", "–"),
    )
    assert repr(found) == str(found.table())
    figure = found.plot()
    assert "/gone: in the image 3B, in the writable layer whiteout" in figure.alt
    assert figure.png.startswith(b"\x89PNG")
