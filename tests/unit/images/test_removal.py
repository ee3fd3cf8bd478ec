"""What `rmi` may take away, as plain data."""

import pytest

from labkit.errors import ConflictError
from labkit.images import Image
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs
from labkit.images.removal import ImageUser, Removal, decide

ID = "sha256:" + "1" * 64
RUNNING, STOPPED = ImageUser("ab" * 32, True), ImageUser("cd" * 32, False)


A, B = (f"{name}@sha256:{'3' * 64}" for name in "ab")


def image(*names: str) -> Image:
    return Image(
        id=ID,
        digest="sha256:" + "2" * 64,
        names=list(names),
        size_bytes=0,
        document=ImageConfig("amd64", "linux", RootFs("layers", [])),
        manifest=Manifest(2, Descriptor("", ID, 1), []),
        layer_directories=list,
    )


@pytest.mark.parametrize(
    ("names", "reference", "user", "force", "has_children", "expected"),
    [
        (["a:1"], "a:1", None, False, False, Removal(["a:1"], True)),
        (["a:1", "b:1"], "a:1", None, False, False, Removal(["a:1"], False)),
        (["a:1", "b:1"], "a:1", RUNNING, False, False, Removal(["a:1"], False)),
        (["a:1"], "a:1", None, False, True, Removal(["a:1"], False)),
        (["a:1"], "a:1", STOPPED, True, False, Removal(["a:1"], False)),
        (["a:1"], ID, None, False, False, Removal(["a:1"], True)),
        (["a:1"], "111111", None, False, False, Removal(["a:1"], True)),
        (["a:1", "b:1"], ID, None, True, False, Removal(["a:1", "b:1"], True)),
        ([], ID, None, False, False, Removal([], True)),
        (["a:1"], ID, STOPPED, True, False, Removal(["a:1"], False)),
        (["a:1", A], "a:1", None, False, False, Removal(["a:1", A], True)),
        (["a:1", "a:2", A], "a:1", None, False, False, Removal(["a:1"], False)),
        (["a:1", B], "a:1", None, False, False, Removal(["a:1"], False)),
        (["a:1", A], A, None, False, False, Removal([A], False)),
        ([A], A, None, False, False, Removal([A], True)),
        ([A], A.replace("@", ":any@"), None, False, False, Removal([A], True)),
        ([A, B], A, STOPPED, False, False, Removal([A], False)),
        ([A, B], ID, None, True, False, Removal([A, B], True)),
        (["a:1", A], ID, None, False, False, Removal(["a:1", A], True)),
        (["a:1"], A, None, False, False, Removal(["a:1"], True)),
    ],
)
def test_what_goes(
    names: list[str],
    reference: str,
    user: ImageUser | None,
    force: bool,
    has_children: bool,
    expected: Removal,
) -> None:
    found = decide(image(*names), reference, user, force=force, has_children=has_children)
    assert found == expected


@pytest.mark.parametrize(
    ("names", "reference", "user", "force", "has_children", "message"),
    [
        (
            ["a:1"],
            "a:1",
            STOPPED,
            False,
            False,
            r"\(must force\) - container cdcdcdcdcdcd is using",
        ),
        (["a:1", "b:1"], ID, None, False, False, r"\(must be forced\).*multiple repositories"),
        (["a:1"], ID, None, True, True, r"\(cannot be forced\).*dependent child images"),
        (["a:1"], ID, RUNNING, True, False, r"\(cannot be forced\).*by running container abab"),
        (["a:1"], ID, STOPPED, False, False, r"\(must be forced\).*by stopped container cdcd"),
        (["a:1", A], "a:1", STOPPED, False, False, r"\(must force\) - container cdcd"),
        ([A], A, RUNNING, False, False, r"\(must force\) - container abab"),
        (["a:1", B], ID, None, False, False, r"\(must be forced\).*multiple repositories"),
        ([A, B], ID, None, False, False, r"\(must be forced\).*multiple repositories"),
    ],
)
def test_what_does_not(
    names: list[str],
    reference: str,
    user: ImageUser | None,
    force: bool,
    has_children: bool,
    message: str,
) -> None:
    with pytest.raises(ConflictError, match=message):
        decide(image(*names), reference, user, force=force, has_children=has_children)
