"""What `rmi` may take away, as plain data."""

import pytest

from labkit.errors import ConflictError
from labkit.images import Image
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs
from labkit.images.removal import ImageUser, Removal, decide

ID = "sha256:" + "1" * 64
RUNNING, STOPPED = ImageUser("ab" * 32, True), ImageUser("cd" * 32, False)


def image(*tags: str) -> Image:
    return Image(
        id=ID,
        digest="sha256:" + "2" * 64,
        names=list(tags),
        size_bytes=0,
        document=ImageConfig("amd64", "linux", RootFs("layers", [])),
        manifest=Manifest(2, Descriptor("", ID, 1), []),
        layer_directories=list,
    )


@pytest.mark.parametrize(
    ("tags", "reference", "user", "force", "has_children", "expected"),
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
    ],
)
def test_what_goes(
    tags: list[str],
    reference: str,
    user: ImageUser | None,
    force: bool,
    has_children: bool,
    expected: Removal,
) -> None:
    found = decide(image(*tags), reference, user, force=force, has_children=has_children)
    assert found == expected


@pytest.mark.parametrize(
    ("tags", "reference", "user", "force", "has_children", "message"),
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
    ],
)
def test_what_does_not(
    tags: list[str],
    reference: str,
    user: ImageUser | None,
    force: bool,
    has_children: bool,
    message: str,
) -> None:
    with pytest.raises(ConflictError, match=message):
        decide(image(*tags), reference, user, force=force, has_children=has_children)
