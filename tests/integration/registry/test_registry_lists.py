"""What a registry has: tags, repositories, referrers (distribution-spec "Content Discovery")."""

import json
from itertools import chain

import pytest

from tests.registries import INDEX, MANIFEST, as_bytes, descriptor, digest_of

UNKNOWN = "sha256:" + "0" * 64
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}


@pytest.fixture
def tags(registry, repository):
    """A repository with some tags, and these in order."""
    for tag in ("v10", "v1", "latest", "B", "_x", "a"):
        registry.push_image(repository, tag)
    return ["_x", "a", "B", "latest", "v1", "v10"]


def pages(registry, target: str, key: str) -> list[list[str]]:
    """All pages from a first one on, as the Link headers lead."""
    found = []
    while target:
        answer = registry.ask("GET", target)
        assert answer.status == 200
        found.append(answer.json[key])
        link = answer.headers["Link"] or ""
        assert not link or link.endswith('; rel="next"')
        target = link.partition("<")[2].partition(">")[0]
        target = "/v2/" + target.partition("/v2/")[2] if target else ""
    return found


def test_tags_in_order(registry, repository, tags):
    answer = registry.ask("GET", f"/v2/{repository}/tags/list")
    assert answer.json == {"name": repository, "tags": tags}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Link"] is None


@pytest.mark.parametrize(("size", "lengths"), [(4, [4, 2]), (6, [6]), (1, [1] * 6), (99, [6])])
def test_tags_by_pages(registry, repository, tags, size, lengths):
    found = pages(registry, f"/v2/{repository}/tags/list?n={size}", "tags")
    assert list(chain(*found)) == tags
    assert [len(page) for page in found] == lengths


def test_tags_after_one(registry, repository, tags):
    for_one = registry.ask("GET", f"/v2/{repository}/tags/list?last=latest")
    assert for_one.json["tags"][-2:] == ["v1", "v10"]


def test_no_tags_at_all_may_be_asked_for(registry, repository, tags):
    answer = registry.ask("GET", f"/v2/{repository}/tags/list?n=0")
    assert (answer.json["tags"], answer.headers["Link"]) == ([], None)


@pytest.mark.parametrize("size", ["x", "-1", "9" * 30])
def test_a_page_of_a_bad_size(registry, repository, tags, size):
    assert registry.ask("GET", f"/v2/{repository}/tags/list?n={size}").status == 400


def test_tags_of_a_repository_that_is_not_there(registry, repository):
    answer = registry.ask("GET", f"/v2/{repository}/tags/list")
    assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


def test_the_catalog_by_pages(registry, repository):
    names = [f"{repository}/{letter}" for letter in "cab"]
    for name in names:
        registry.push_image(name, "v1")
    everything = registry.ask("GET", "/v2/_catalog?n=1000").json["repositories"]
    assert [name for name in everything if name in names] == sorted(names)
    found = pages(registry, "/v2/_catalog?n=2", "repositories")
    assert list(chain(*found)) == everything
    assert all(len(page) <= 2 for page in found)


# Referrers (end-12)


def artifact(registry, name: str, about: dict[str, object], kind: str, **more: object) -> str:
    """Push something that is about a manifest, a signature say; its digest."""
    registry.push_blob(name, b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": EMPTY,
        "layers": [EMPTY],
        "subject": about,
        **more,
    }
    data = as_bytes(document)
    return registry.push_manifest(name, digest_of(data), data, MANIFEST)


def subject(registry, name: str) -> dict[str, object]:
    registry.push_image(name, "v1")
    data = registry.ask("GET", f"/v2/{name}/manifests/v1", Accept=MANIFEST).body
    return descriptor(MANIFEST, data)


def test_a_subject_is_confirmed(registry, repository):
    about = descriptor(MANIFEST, b"a manifest that comes later")
    data = as_bytes(registry.image_of(repository) | {"subject": about})
    answer = registry.ask("PUT", f"/v2/{repository}/manifests/s", data, Content_Type=MANIFEST)
    assert answer.status == 201
    assert answer.headers["OCI-Subject"] == about["digest"]


def test_referrers(registry, repository):
    about = subject(registry, repository)
    signature = artifact(registry, repository, about, "lab/signature", annotations={"by": "me"})
    image = registry.push_image(repository, "about", subject=about)
    answer = registry.ask("GET", f"/v2/{repository}/referrers/{about['digest']}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == INDEX
    assert answer.json["schemaVersion"] == 2
    found = {entry["digest"]: entry for entry in answer.json["manifests"]}
    assert found.keys() == {signature, image}
    assert found[signature]["artifactType"] == "lab/signature"
    assert found[signature]["annotations"] == {"by": "me"}
    assert found[image]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert found[image]["mediaType"] == MANIFEST
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/{image}").status == 202
    left = registry.ask("GET", f"/v2/{repository}/referrers/{about['digest']}").json["manifests"]
    assert [entry["digest"] for entry in left] == [signature]


def test_referrers_by_type(registry, repository):
    about = subject(registry, repository)
    signature = artifact(registry, repository, about, "lab/signature")
    artifact(registry, repository, about, "lab/bill-of-materials")
    target = f"/v2/{repository}/referrers/{about['digest']}?artifactType=lab%2Fsignature"
    answer = registry.ask("GET", target)
    assert [entry["digest"] for entry in answer.json["manifests"]] == [signature]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


def test_referrers_of_nothing_are_an_empty_list(registry, repository):
    answer = registry.ask("GET", f"/v2/{repository}/referrers/{UNKNOWN}")
    assert answer.status == 200
    assert json.loads(answer.body)["manifests"] == []


def test_referrers_of_a_bad_digest(registry, repository):
    answer = registry.ask("GET", f"/v2/{repository}/referrers/sha256:short")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
