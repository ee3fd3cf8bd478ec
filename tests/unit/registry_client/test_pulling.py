"""Downloads from registries that break, lie, are busy, or lead astray."""

import json
import os
import re
from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.images.models import Descriptor
from labkit.registry.client.credentials import Credentials
from labkit.registry.client.endpoints import Endpoint
from labkit.registry.client.errors import RegistryError, StoppedError, UnreachableError
from labkit.registry.client.registry import Registry
from tests.unit.registry_client.conftest import Connect
from tests.unit.registry_client.fake import Answer, FakeRegistry, digest_of, ranged

DATA = os.urandom(3 << 20)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def get(connect: Connect, digest: str, size: int, path: Path) -> bytes:
    told: list[int] = []
    connect().download(Descriptor(LAYER, digest, size), str(path), told.append)
    assert told[-1] == size
    return path.read_bytes()


def test_a_whole_blob(fake: FakeRegistry, connect: Connect, tmp_path: Path) -> None:
    assert get(connect, fake.blob(DATA), len(DATA), tmp_path / "b") == DATA


def test_an_empty_blob_is_not_even_asked_for(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    assert get_empty(connect, tmp_path / "b") == b""
    assert fake.lines() == ["GET /v2/"]


def get_empty(connect: Connect, path: Path) -> bytes:
    connect().download(Descriptor(LAYER, digest_of(b""), 0), str(path), lambda size: None)
    return path.read_bytes()


def test_a_broken_line_is_taken_up_where_it_broke(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    digest = fake.blob(DATA, ranged(DATA, 1 << 20), ranged(DATA, 1 << 20), ranged(DATA))
    assert get(connect, digest, len(DATA), tmp_path / "b") == DATA
    asked = [asked.headers.get("range") for asked in fake.asked[1:]]
    assert asked == [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"]


def test_a_server_without_ranges_begins_again(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    digest = fake.blob(DATA, Answer(200, DATA, cut=1 << 20), Answer(200, DATA))
    assert get(connect, digest, len(DATA), tmp_path / "b") == DATA


def test_a_part_from_elsewhere_is_not_put_in(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    wrong = Answer(206, DATA[5:], {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"})
    digest = fake.blob(DATA, ranged(DATA, 1 << 20), wrong, ranged(DATA))
    assert get(connect, digest, len(DATA), tmp_path / "b") == DATA


def test_a_server_that_always_breaks_is_given_up(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    digest = fake.blob(DATA, Answer(200, DATA, cut=10))
    with pytest.raises(UnreachableError, match="cannot reach the registry"):
        get(connect, digest, len(DATA), tmp_path / "b")
    assert len(fake.asked) == 6


def test_another_content_is_refused(fake: FakeRegistry, connect: Connect, tmp_path: Path) -> None:
    digest = fake.blob(DATA, Answer(200, DATA[:-1] + b"?"))
    with pytest.raises(RegistryError, match="verification failed for digest"):
        get(connect, digest, len(DATA), tmp_path / "b")


def test_more_than_was_promised_is_refused(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    digest = fake.blob(DATA)
    with pytest.raises(RegistryError, match="sends more for blob"):
        get(connect, digest, 1 << 20, tmp_path / "b")
    assert (tmp_path / "b").stat().st_size <= 2 << 20


def test_who_stops_is_not_kept_waiting(
    fake: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    repository = connect()

    def tell(size: int) -> None:
        repository.registry.stop.set()

    blob = Descriptor(LAYER, fake.blob(DATA), len(DATA))
    with pytest.raises(StoppedError):
        repository.download(blob, str(tmp_path / "b"), tell)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_is_asked_again(fake: FakeRegistry, connect: Connect, status: int) -> None:
    digest = fake.manifest({"schemaVersion": 2})
    (later,) = fake.answers["GET /v2/library/x/manifests/1"]
    fake.on("GET /v2/library/x/manifests/1", Answer(status, headers={"Retry-After": "1"}), later)
    assert connect().manifest("1").descriptor.digest == digest


def test_a_registry_that_stays_busy_is_given_up(fake: FakeRegistry, connect: Connect) -> None:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow\x1b[2J down"}]})
    fake.on("GET /v2/library/x/manifests/1", Answer(429, body.encode(), {"Retry-After": "0"}))
    with pytest.raises(RegistryError) as caught:
        connect().manifest("1")
    assert str(caught.value) == "toomanyrequests: slow [2J down"
    assert len(fake.asked) == 6


def test_redirects_lead_to_other_hosts_without_secrets(
    fake: FakeRegistry, elsewhere: FakeRegistry, connect: Connect, tmp_path: Path
) -> None:
    challenge = Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    fake.on("GET /v2/", challenge)
    where = Answer(307, headers={"Location": f"{elsewhere.url}/cdn#part"})
    blob = Descriptor(LAYER, fake.blob(DATA, where), len(DATA))
    elsewhere.on("GET /cdn", ranged(DATA))
    connect(Credentials("me", "secret")).download(blob, str(tmp_path / "b"), lambda size: None)
    assert "authorization" in fake.asked[-1].headers
    assert "authorization" not in elsewhere.asked[0].headers


def test_redirects_in_a_circle_end(fake: FakeRegistry, connect: Connect) -> None:
    path = "/v2/library/x/manifests/1"
    fake.on(f"GET {path}", Answer(302, headers={"Location": path}))
    with pytest.raises(UnreachableError, match="over 5 redirects"):
        connect().manifest("1")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/"])
def test_redirects_lead_to_http_only(fake: FakeRegistry, connect: Connect, target: str) -> None:
    fake.on("GET /v2/library/x/manifests/1", Answer(302, headers={"Location": target}))
    with pytest.raises(UnreachableError, match="not an address"):
        connect().manifest("1")


@pytest.mark.parametrize(
    ("document", "headers", "message"),
    [
        (b"{", {}, "cannot be used"),
        (b"[" * 100_000, {}, "cannot be used"),
        (b"x" * (5 << 20), {}, "over 4194304 bytes"),
        ({"schemaVersion": 1}, {}, "schema 1"),
        ({"schemaVersion": 2}, {"Content-Type": "text/html"}, 'media type "text/html"'),
        ({"schemaVersion": 2, "mediaType": "a/b"}, {}, 'media type "a/b"'),
        ({"schemaVersion": 2}, {"Docker-Content-Digest": f"sha256:{0:064}"}, "has the digest"),
    ],
)
def test_manifests_that_are_none(
    fake: FakeRegistry,
    connect: Connect,
    document: object,
    headers: dict[str, str],
    message: str,
) -> None:
    fake.manifest(document, **headers)
    with pytest.raises(LabkitError, match=message):
        connect().manifest("1")


CONFIG = {"mediaType": "a", "digest": digest_of(b""), "size": 2}


@pytest.mark.parametrize(
    "manifest",
    [
        {"schemaVersion": 2, "config": CONFIG},
        {"schemaVersion": 2, "config": CONFIG | {"digest": "sha256:../../x"}, "layers": []},
        {"schemaVersion": 2, "config": CONFIG | {"size": -1}, "layers": []},
        {"schemaVersion": 2, "config": CONFIG | {"size": 1 << 40}, "layers": []},
        {"schemaVersion": 2, "config": CONFIG, "layers": [CONFIG] * 5000},
        {"schemaVersion": 2, "config": CONFIG, "layers": "none"},
    ],
)
def test_manifests_that_make_no_sense(
    fake: FakeRegistry, connect: Connect, manifest: object
) -> None:
    fake.manifest(manifest)
    with pytest.raises(RegistryError, match="cannot be used"):
        connect().manifest("1").as_manifest()


def test_a_bad_digest_is_told_in_words(fake: FakeRegistry, connect: Connect) -> None:
    fake.manifest({"schemaVersion": 2, "config": CONFIG | {"digest": "md5:1"}, "layers": []})
    with pytest.raises(
        RegistryError, match=r"`\$\.config\.digest` is not a digest that labkit knows"
    ):
        connect().manifest("1").as_manifest()


def test_a_manifest_asked_for_by_its_digest_is_that_one(
    fake: FakeRegistry, connect: Connect
) -> None:
    wanted = f"sha256:{1:064}"
    fake.manifest({"schemaVersion": 2}, tag=wanted)
    with pytest.raises(RegistryError, match="its content has the digest"):
        connect().manifest(wanted)


def test_tags_page_after_page(fake: FakeRegistry, connect: Connect) -> None:
    path = "/v2/library/x/tags/list"
    more = {"Link": f'<{path}?n=2&last=b>; rel="next"'}
    fake.on(
        f"GET {path}",
        Answer(body=b'{"tags": ["a", "b"]}', headers=more),
        Answer(body=b'{"name": "x", "tags": ["c"]}'),
    )
    assert list(connect().tags()) == ["a", "b", "c"]
    assert fake.asked[-1].query == "n=2&last=b"


def test_tags_without_end_end(fake: FakeRegistry, connect: Connect) -> None:
    path = "/v2/library/x/tags/list"
    tags = json.dumps({"tags": ["a"] * 20_000}).encode()
    fake.on(f"GET {path}", Answer(body=tags, headers={"Link": f'<{path}>; rel="next"'}))
    with pytest.raises(RegistryError, match="over 100000 tags"):
        list(connect().tags())


def test_nobody_there() -> None:
    refused = "connection refused. Is a registry running there"
    for url, message in (("http://127.0.0.1:1", refused), ("https://x.invalid", "no such host")):
        registry = Registry(Endpoint(url))
        with registry, pytest.raises(UnreachableError, match=re.escape(message)):
            registry.connect()
