"""The OCI distribution specification 1.1, a test for each thing it says a registry must do.

The same table is put to Debian's `docker-registry` (2.8, from before 1.1): where it does otherwise,
`OTHERWISE` (tests/registries.py) says in what.
"""

import json

import pytest

from tests.registries import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    as_bytes,
    descriptor,
    digest_of,
    with_digest,
)

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
UNKNOWN = "sha256:" + "0" * 64
DATA = bytes(range(256)) * 20

# Is it a registry (end-1)


def test_the_base(registry):
    answer = registry.ask("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("name", ["UPPER", "a/../b", "-a", "a//b", "a%00b", "%2e%2e"])
def test_a_bad_name(registry, name):
    answer = registry.ask("GET", f"/v2/{name}/manifests/v1")
    assert answer.status in (400, 404, 301)


def test_a_wrong_method_names_the_right_ones(registry, repository):
    answer = registry.ask("POST", f"/v2/{repository}/tags/list")
    assert answer.status == 405
    assert answer.codes == ["UNSUPPORTED"]
    assert "GET" in answer.headers["Allow"]


# Pull (end-2, end-3)


def test_a_blob(registry, repository):
    digest = registry.push_blob(repository, DATA)
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_is_a_blob_there(registry, repository):
    digest = registry.push_blob(repository, DATA)
    answer = registry.ask("HEAD", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Docker-Content-Digest"] == digest
    assert registry.ask("HEAD", f"/v2/{repository}/blobs/{UNKNOWN}").status == 404


def test_a_blob_that_is_not_there(registry, repository):
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{UNKNOWN}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])


def test_a_blob_of_another_repository_is_not_there(registry, repository):
    digest = registry.push_blob(f"{repository}/a", b"of a alone")
    assert registry.ask("GET", f"/v2/{repository}/b/blobs/{digest}").status == 404


def test_an_empty_blob(registry, repository):
    digest = registry.push_blob(repository, b"")
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("100-199", 100, 199), ("5000-", 5000, 5119), ("-20", 5100, 5119),
     ("5110-9999", 5110, 5119)],
)  # fmt: skip
def test_a_part_of_a_blob(registry, repository, asked, first, last):
    digest = registry.push_blob(repository, DATA)
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{digest}", Range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"


def test_a_range_after_the_end_is_416(registry, repository):
    digest = registry.push_blob(repository, DATA)
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{digest}", Range="bytes=9999-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert answer.codes


def test_a_blob_one_has_already(registry, repository):
    digest = registry.push_blob(repository, DATA)
    tag = registry.ask("GET", f"/v2/{repository}/blobs/{digest}").headers["ETag"]
    answer = registry.ask("GET", f"/v2/{repository}/blobs/{digest}", If_None_Match=tag)
    assert (answer.status, answer.body) == (304, b"")


def test_a_manifest_by_tag_and_digest(registry, repository):
    digest = registry.push_image(repository, "v1")
    for reference in ("v1", digest):
        for method in ("GET", "HEAD"):
            answer = registry.ask(
                method, f"/v2/{repository}/manifests/{reference}", Accept=MANIFEST
            )
            assert answer.status == 200
            assert answer.headers["Content-Type"] == MANIFEST
            assert answer.headers["Docker-Content-Digest"] == digest
            assert digest_of(answer.body) == digest or method == "HEAD"


@pytest.mark.parametrize("reference", ["nothing", UNKNOWN])
def test_a_manifest_that_is_not_there(registry, repository, reference):
    answer = registry.ask("GET", f"/v2/{repository}/manifests/{reference}")
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])
    assert registry.ask("HEAD", f"/v2/{repository}/manifests/{reference}").status == 404


# Push a blob (end-4, end-5, end-6, end-13)


def test_an_upload_begins(registry, repository):
    answer = registry.ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
    assert answer.status == 202
    assert f"/v2/{repository}/blobs/uploads/" in answer.location


def test_post_then_put(registry, repository):
    location = registry.start_upload(repository)
    digest = digest_of(DATA)
    answer = registry.ask("PUT", with_digest(location, digest), DATA)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest
    assert registry.ask("GET", answer.location).body == DATA


def test_a_single_post(registry, repository):
    digest = digest_of(DATA)
    answer = registry.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", DATA)
    assert answer.status in (201, 202)
    if answer.status == 201:
        assert registry.ask("GET", answer.location).body == DATA


def test_chunks(registry, repository):
    location = registry.start_upload(repository)
    for first in (0, 2000, 4000):
        chunk = DATA[first : first + 2000]
        last = first + len(chunk) - 1
        answer = registry.ask("PATCH", location, chunk, Content_Range=f"{first}-{last}")
        assert answer.status == 202
        assert answer.headers["Range"] == f"0-{last}"
        location = answer.location
    answer = registry.ask("PUT", with_digest(location, digest_of(DATA)), b"")
    assert answer.status == 201
    assert registry.ask("GET", answer.location).body == DATA


def test_the_last_chunk_with_the_put(registry, repository):
    location = registry.start_upload(repository)
    answer = registry.ask("PATCH", location, DATA[:3000], Content_Range="0-2999")
    location = with_digest(answer.location, digest_of(DATA))
    answer = registry.ask("PUT", location, DATA[3000:], Content_Range=f"3000-{len(DATA) - 1}")
    assert answer.status == 201
    assert registry.ask("GET", answer.location).body == DATA


def test_a_stream_of_unknown_length(registry, repository):
    location = registry.start_upload(repository)
    answer = registry.ask("PATCH", location, iter([DATA[:1000], DATA[1000:]]))
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(DATA) - 1}")
    answer = registry.ask("PUT", with_digest(answer.location, digest_of(DATA)), b"")
    assert answer.status == 201


@pytest.mark.parametrize("given", ["1000-1999", "5000-5999"])
def test_a_chunk_out_of_order_is_416(registry, repository, given):
    location = registry.start_upload(repository)
    answer = registry.ask("PATCH", location, DATA[:2000], Content_Range="0-1999")
    again = registry.ask("PATCH", answer.location, DATA[:1000], Content_Range=given)
    assert again.status == 416


def test_a_wrong_range_header_is_416(registry, repository):
    location = registry.start_upload(repository)
    answer = registry.ask("PATCH", location, DATA, Content_Range="from here to there")
    assert answer.status == 416
    assert answer.headers["Range"] == "0-0"


def test_a_put_out_of_order_is_416(registry, repository):
    location = with_digest(registry.start_upload(repository), digest_of(DATA))
    assert registry.ask("PUT", location, DATA, Content_Range="7-5126").status == 416


def test_a_chunk_that_is_not_as_long_as_it_says(registry, repository):
    location = registry.start_upload(repository)
    answer = registry.ask("PATCH", location, DATA[:500], Content_Range="0-999")
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])


def test_the_status_of_an_upload(registry, repository):
    location = registry.start_upload(repository)
    location = registry.ask("PATCH", location, DATA[:1234]).location
    answer = registry.ask("GET", location)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Range"] == "0-1233"
    assert "/blobs/uploads/" in answer.location


def test_a_wrong_digest(registry, repository):
    answer = registry.ask("PUT", with_digest(registry.start_upload(repository), UNKNOWN), DATA)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert registry.ask("HEAD", f"/v2/{repository}/blobs/{UNKNOWN}").status == 404


def test_a_put_without_a_digest(registry, repository):
    answer = registry.ask("PUT", registry.start_upload(repository), DATA)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


def test_a_cancelled_upload_is_unknown(registry, repository):
    location = registry.start_upload(repository)
    assert registry.ask("DELETE", location).status == 204
    answer = registry.ask("GET", location)
    assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_a_finished_upload_is_unknown(registry, repository):
    location = registry.start_upload(repository)
    assert registry.ask("PUT", with_digest(location, digest_of(DATA)), DATA).status == 201
    assert registry.ask("PATCH", location, DATA).status == 404


# Mounts (end-11)


def test_a_mount(registry, repository):
    digest = registry.push_blob(f"{repository}/from", DATA)
    target = f"/v2/{repository}/to/blobs/uploads/?mount={digest}&from={repository}/from"
    answer = registry.ask("POST", target, b"")
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest
    assert registry.ask("GET", answer.location).body == DATA


@pytest.mark.parametrize("source", ["nobody/here", "", "../../etc"])
def test_a_mount_of_what_is_not_there_becomes_an_upload(registry, repository, source):
    answer = registry.ask(
        "POST", f"/v2/{repository}/blobs/uploads/?mount={UNKNOWN}&from={source}", b""
    )
    assert answer.status == 202
    digest = digest_of(DATA)
    assert registry.ask("PUT", with_digest(answer.location, digest), DATA).status == 201


# Push a manifest (end-7)


@pytest.mark.parametrize(
    ("media_type", "config"),
    [(MANIFEST, CONFIG), (DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json")],
)
def test_manifests_of_both_kinds(registry, repository, media_type, config):
    document = registry.image_of(repository) | {"mediaType": media_type}
    document["config"]["mediaType"] = config
    digest = registry.push_manifest(repository, "both", document, media_type)
    answer = registry.ask("GET", f"/v2/{repository}/manifests/both", Accept=media_type)
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("media_type", [INDEX, DOCKER_LIST])
def test_indexes_of_both_kinds(registry, repository, media_type):
    inner = DOCKER_MANIFEST if media_type == DOCKER_LIST else MANIFEST
    image = as_bytes(registry.image_of(repository) | {"mediaType": inner})
    registry.push_manifest(repository, digest_of(image), image, inner)
    entry = descriptor(inner, image) | {"platform": {"architecture": "amd64", "os": "linux"}}
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}
    digest = registry.push_manifest(repository, "many", document, media_type)
    answer = registry.ask("GET", f"/v2/{repository}/manifests/many", Accept=media_type)
    assert answer.headers["Docker-Content-Digest"] == digest


def test_an_index_of_blobs(registry, repository):
    image = registry.image_of(repository)
    listed = [image["layers"][0], image["config"]]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    registry.push_manifest(repository, "cache", document, INDEX)


def test_a_manifest_is_kept_byte_for_byte(registry, repository):
    data = json.dumps(registry.image_of(repository), indent=7).encode() + b"\n\n"
    registry.push_manifest(repository, "odd", data, MANIFEST)
    assert registry.ask("GET", f"/v2/{repository}/manifests/odd", Accept=MANIFEST).body == data


def test_where_a_manifest_is(registry, repository):
    data = as_bytes(registry.image_of(repository))
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/v1", data, Content_Type=MANIFEST)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest_of(data)
    assert registry.ask("GET", answer.location, Accept=MANIFEST).body == data


def test_a_manifest_whose_blobs_are_not_there(registry, repository):
    document = registry.image_of(repository)
    document["layers"] += [descriptor(LAYER, b"never pushed"), descriptor(LAYER, b"nor this")]
    data = as_bytes(document)
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/v1", data, Content_Type=MANIFEST)
    assert answer.status in (400, 404)
    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"] * 2
    assert answer.json["errors"][0]["detail"]
    assert registry.ask("HEAD", f"/v2/{repository}/manifests/v1").status == 404


@pytest.mark.parametrize("kind", [MANIFEST, LAYER])
def test_an_index_whose_members_are_not_there(registry, repository, kind):
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(kind, b"x")]}
    answer = registry.ask(
        "PUT", f"/v2/{repository}/manifests/v1", as_bytes(document), Content_Type=INDEX
    )
    assert answer.status in (400, 404)
    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"]


def test_a_size_that_is_not_the_blobs(registry, repository):
    document = registry.image_of(repository)
    document["layers"][0]["size"] += 1
    data = as_bytes(document)
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/v1", data, Content_Type=MANIFEST)
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_none(registry, repository, data):
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/v1", data, Content_Type=MANIFEST)
    assert answer.status == 400
    assert answer.codes == ["MANIFEST_INVALID"]


def test_a_type_that_is_no_manifest(registry, repository):
    data = as_bytes(registry.image_of(repository))
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/v1", data, Content_Type="text/plain")
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert "text/plain" in answer.json["errors"][0]["message"]


def test_a_manifest_under_another_digest(registry, repository):
    data = as_bytes(registry.image_of(repository))
    answer = registry.ask(
        "PUT", f"/v2/{repository}/manifests/{UNKNOWN}", data, Content_Type=MANIFEST
    )
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


def test_a_tag_moves(registry, repository):
    old = registry.push_image(repository, "latest", b"old")
    new = registry.push_image(repository, "latest", b"new")
    found = registry.ask("HEAD", f"/v2/{repository}/manifests/latest", Accept=MANIFEST)
    assert found.headers["Docker-Content-Digest"] == new
    assert registry.ask("HEAD", f"/v2/{repository}/manifests/{old}", Accept=MANIFEST).status == 200
    assert registry.ask("GET", f"/v2/{repository}/tags/list").json["tags"] == ["latest"]


# Delete (end-9, end-10)


def test_a_manifest_is_deleted_with_its_tags(registry, repository):
    digest = registry.push_image(repository, "v1")
    registry.push_image(repository, "v1-too")
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/{digest}").status == 202
    for reference in (digest, "v1", "v1-too"):
        assert registry.ask("GET", f"/v2/{repository}/manifests/{reference}").status == 404
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/{digest}").status == 404


def test_a_tag_alone_is_deleted(registry, repository):
    digest = registry.push_image(repository, "v1")
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/v1").status == 202
    assert registry.ask("GET", f"/v2/{repository}/manifests/v1").status == 404
    assert (
        registry.ask("GET", f"/v2/{repository}/manifests/{digest}", Accept=MANIFEST).status == 200
    )
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/v1").status == 404


def test_a_blob_is_deleted(registry, repository):
    digest = registry.push_blob(repository, b"to be deleted")
    assert registry.ask("DELETE", f"/v2/{repository}/blobs/{digest}").status == 202
    assert registry.ask("GET", f"/v2/{repository}/blobs/{digest}").status == 404
    answer = registry.ask("DELETE", f"/v2/{repository}/blobs/{digest}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])
