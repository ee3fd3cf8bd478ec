"""Trees of blobs and talks with a registry: what is shared, what was sent, and how it is drawn."""

from pathlib import Path

import pytest

from labkit.course.architecture.trace import Trace
from labkit.course.architecture.wire import Exchange
from labkit.course.images.blob_fates import Fate, grid
from labkit.course.images.blob_tree import Blob, BlobTree, Tree, blob_tree
from labkit.course.images.registry_request import about
from labkit.course.images.registry_talk import RegistryTalk
from labkit.errors import NotFoundError
from labkit.images import models
from labkit.images.layout import Layout, encode
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs

BASE, PAGE, OTHER = (Blob("layer", f"sha256:{digit * 64}", 10) for digit in "abc")
CONFIG, CONFIG_2 = Blob("config", f"sha256:{'1' * 64}", 5), Blob("config", f"sha256:{'2' * 64}", 5)
ONE = Tree("one", Blob("manifest", f"sha256:{'8' * 64}", 7), (CONFIG, BASE, PAGE))
TWO = Tree("two", Blob("manifest", f"sha256:{'9' * 64}", 7), (CONFIG_2, BASE, OTHER))
DIGEST = f"sha256:{'a' * 64}"
ESCAPED = DIGEST.replace(":", "%3A")


def test_what_is_shared_stands_between_what_is_not() -> None:
    tree = BlobTree([ONE, TWO])
    assert tree.leaves() == [CONFIG, PAGE, BASE, CONFIG_2, OTHER]
    assert tree.owners(BASE) == ("one", "two")
    assert tree.shared_bytes() == 10
    assert [row[4] for row in tree.table().rows] == [
        *("–", "–", "two", "–"),
        *("–", "–", "one", "–"),
    ]


@pytest.mark.parametrize("trees", [[ONE], [ONE, TWO], [ONE, TWO, ONE._replace(name="again")]])
def test_any_number_of_trees_is_drawn(trees: list[Tree]) -> None:
    figure = BlobTree(trees).plot()
    assert figure.png.startswith(b"\x89PNG")
    texts = [text.get_text() for text in figure.drawing.axes[0].texts]
    assert texts.count("manifest") == len(trees)
    assert all(tree.name in texts for tree in trees)
    assert "layer aaaaaaaaaaaa (10B)" in figure.alt


def test_a_tree_is_read_from_the_stores_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_ROOT", str(tmp_path))
    layout = Layout(str(tmp_path / "images"))
    config, config_data = encode(
        ImageConfig("amd64", "linux", RootFs("layers", [DIGEST])), models.CONFIG
    )
    layer = Descriptor(models.LAYER_GZIP, PAGE.digest, PAGE.size_bytes)
    manifest, manifest_data = encode(
        Manifest(2, config, [layer], media_type=models.MANIFEST), models.MANIFEST
    )
    manifest.annotations = {models.REF_NAME: "a:latest"}
    with layout.locked():
        layout.write_blob(config.digest, config_data)
        layout.write_blob(manifest.digest, manifest_data)
        layout.write_index([manifest])
    (tree,) = blob_tree("a").trees
    assert tree.manifest == Blob("manifest", manifest.digest, len(manifest_data))
    assert tree.leaves == (Blob("config", config.digest, len(config_data)), PAGE)
    with pytest.raises(NotFoundError, match="No such image"):
        blob_tree("b")


@pytest.mark.parametrize(
    ("target", "kind", "what"),
    [
        ("/v2/", "registry", ""),
        (f"/v2/a/b/blobs/{DIGEST}", "blob", "a" * 12),
        ("/v2/a/blobs/uploads/", "upload", ""),
        (f"/v2/a/blobs/uploads/0f-1?digest={ESCAPED}", "upload", "a" * 12),
        (f"/v2/a/blobs/uploads/?mount={ESCAPED}&from=b/c", "mount", f"{'a' * 12} from b/c"),
        ("/v2/a/b/manifests/1.0", "manifest", "a/b:1.0"),
        (f"/v2/a/manifests/{DIGEST}", "manifest", f"a@{'a' * 12}"),
        ("/token?service=x&scope=y", "token", ""),
        ("/v2/_catalog", "page", "/v2/_catalog"),
    ],
)
def test_what_a_page_is_about(target: str, kind: str, what: str) -> None:
    assert about(target) == (kind, what)


def exchange(method: str, target: str, status: int, sent: int = 0, received: int = 0) -> Exchange:
    lanes = ("daemon", "registry")
    return Exchange(method, target, 1.0, lanes, status, 1.0, 1.0, sent, received)


def test_a_push_in_words_and_as_a_picture() -> None:
    trace = Trace()
    trace.exchanges = [
        Exchange("POST", "/images/a/push", 0.5, status=200),
        exchange("GET", "/v2/", 401, received=9),
        exchange("HEAD", f"/v2/a/blobs/{DIGEST}", 404),
        exchange("PUT", f"/v2/a/blobs/uploads/0f-1?digest={ESCAPED}", 201, sent=1000),
        exchange("HEAD", f"/v2/a/blobs/{CONFIG.digest}", 200),
        exchange("POST", f"/v2/a/blobs/uploads/?mount=sha256%3A{'f' * 64}&from=b", 201),
        exchange("PUT", "/v2/a/manifests/1", 403, sent=5),
        exchange("HEAD", f"/v2/a/blobs/{DIGEST}", 401),
    ]
    talk = RegistryTalk(("push", trace), blobs=BlobTree([ONE]))
    assert talk.table().column("meaning") == (
        "who are you?",
        "the layer: is it there? no",
        "the layer is sent",
        "the config: is it there? yes",
        "the blob is taken over from there",
        "refused",
        "who are you?",
    )
    (push,) = talk.talks
    assert (push.went_bytes, push.came_bytes) == (1005, 9)
    assert push.of("HEAD", "blob", 404) == ["a" * 12]
    assert str(grid(talk.talks)["layer aaaaaaaaaaaa"][0]) == "sent 1kB"
    assert grid(talk.talks)["config " + CONFIG.short] == [Fate("there already")]
    assert grid(talk.talks)["blob ffffffffffff"] == [Fate("taken over")]
    assert "manifest" not in grid(talk.talks), "it was refused"
    shown = talk.plot()
    assert "layer aaaaaaaaaaaa: sent 1kB; config" in shown.alt
    assert shown.png.startswith(b"\x89PNG")
    figure = talk.plot_requests()
    texts = [text.get_text() for text in figure.drawing.axes[0].texts]
    assert {"↑ 1kB", "↓ 9B", "7 requests, 1kB sent, 9B received"} <= set(texts)
    assert "HEAD blob aaaaaaaaaaaa → 404" in figure.alt
    assert figure.png.startswith(b"\x89PNG")
