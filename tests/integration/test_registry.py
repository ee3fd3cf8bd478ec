"""The smallest round: an image goes in, and comes out as it was."""

import pytest

from tests.registries import MANIFEST, LabkitRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    server = LabkitRegistry(str(tmp_path_factory.mktemp("registry")))
    yield server
    assert server.end() == 0


def test_an_image_comes_out_as_it_went_in(registry):
    digest = registry.push_image("library/tool", "v1")
    answer = registry.ask("GET", "/v2/library/tool/manifests/v1")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == MANIFEST
    assert answer.headers["Docker-Content-Digest"] == digest
    for blob in (answer.json["config"], *answer.json["layers"]):
        got = registry.ask("GET", f"/v2/library/tool/blobs/{blob['digest']}")
        assert (got.status, len(got.body)) == (200, blob["size"])
    assert registry.ask("GET", "/v2/_catalog").json == {"repositories": ["library/tool"]}
