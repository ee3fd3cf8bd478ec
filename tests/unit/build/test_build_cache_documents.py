"""The documents of a cache outside of the engine, and hostile ones."""

import json

import pytest

from labkit.build import cache_documents as documents
from labkit.build.cache_documents import CONFIG, Kept, Made
from labkit.errors import InvalidParameterError
from labkit.images.models import LAYER_GZIP, Descriptor


def digest(letter):
    return f"sha256:{letter * 64}"


def blob(letter):
    return Descriptor(LAYER_GZIP, digest(letter), 7)


A, B, C = "diff-a", "diff-b", "diff-c"
STEPS = [
    Made("run", (A,), (A, B), [blob("a"), blob("b")]),
    Made("nothing", (A, B), (A, B), [blob("a"), blob("b")]),
    Made("copy", (A, B), (A, B, C), [blob("a"), blob("b"), blob("c")]),
    Made("on scratch", (), (), []),
]


def manifest_of(blobs, config):
    return documents.manifest_of(blobs, Descriptor(CONFIG, digest("0"), len(config)))[1]


def test_what_is_written_is_read():
    blobs, config = documents.written(STEPS)
    assert [each.digest for each in blobs] == [digest(letter) for letter in "abc"]
    manifest = manifest_of(blobs, config)
    assert documents.config_of(manifest).digest == digest("0")
    found = documents.read(manifest, config)
    assert found["run", (A,)] == Kept(blob("b"), B)
    assert found["nothing", (A, B)] is None
    assert found["copy", (A, B)] == Kept(blob("c"), C)
    assert found["on scratch", ()] is None
    assert ("run", (B,)) not in found


def test_records_and_layers_are_chained_as_buildkit_does_it():
    _, config = documents.written(STEPS)
    written = json.loads(config)
    assert [layer.get("parent", 0) for layer in written["layers"]] == [-1, 0, 1]
    assert written["layers"][1]["annotations"] == {
        "mediaType": LAYER_GZIP,
        "diffID": B,
        "size": 7,
    }
    assert written["records"][2]["inputs"] == [[{"link": 0}]]


def test_an_image_is_no_cache():
    assert documents.config_of(b'{"schemaVersion": 2, "layers": []}') is None


@pytest.mark.parametrize(
    "layers",
    [
        [{"blob": digest("a"), "parent": 0, "annotations": {"diffID": A}}],
        [{"blob": digest("a"), "parent": 9, "annotations": {"diffID": A}}],
        [{"blob": digest("a"), "parent": -2, "annotations": {"diffID": A}}],
        [{"blob": digest("a"), "parent": -1}],
        [],
    ],
    ids=["its own parent", "no such parent", "below nothing", "no digest", "no layer"],
)
def test_a_layer_that_leads_nowhere_is_left_out(layers):
    config = {"layers": layers, "records": [{"digest": "run", "layers": [{"layer": 0}]}]}
    assert documents.read(manifest_of([blob("a")], b""), json.dumps(config).encode()) == {}


@pytest.mark.parametrize(
    "config", [b"", b"[]", b'{"layers": [{"blob": "../../x"}]}', b"[" * 100_000]
)
def test_a_damaged_config_is_refused(config):
    with pytest.raises(InvalidParameterError, match="the cache cannot be read"):
        documents.read(manifest_of([], b""), config)


def test_a_config_that_is_too_large_is_not_fetched():
    large = Descriptor(CONFIG, digest("0"), documents.CONFIG_MAX_BYTES + 1)
    with pytest.raises(InvalidParameterError, match="too large"):
        documents.config_of(documents.manifest_of([], large)[1])


@pytest.mark.parametrize("many", ["records", "outcomes"])
def test_a_cache_of_very_many_steps_is_refused(many):
    """Each of them may have a long chain of layers: together that takes minutes."""
    count = documents.STEPS_MAX + 1
    outcome, record = {"layer": 0}, {"digest": "run", "layers": []}
    records = [{**record, "layers": [outcome] * count}] if many == "outcomes" else [record] * count
    config = json.dumps({"layers": [], "records": records}).encode()
    with pytest.raises(InvalidParameterError, match="more than 10000 steps"):
        documents.read(manifest_of([], b""), config)
