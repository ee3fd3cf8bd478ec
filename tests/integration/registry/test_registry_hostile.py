"""Requests that mean harm: each gets its own clear error, and nothing outside its place changes."""

import os
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import leaks
from tests.registries import INDEX, MANIFEST, LabkitRegistry, as_bytes, descriptor, digest_of

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        made = LabkitRegistry(folder)
        made.push_image("lab/good", "v1")
        yield made
        assert made.end() == 0


@pytest.fixture(autouse=True)
def nothing_outside_its_place(server):
    before = files(server.folder)
    yield
    assert files(server.folder) - before <= {"registry", "registry.log"}
    assert server.ask("GET", "/v2/lab/good/manifests/v1").status == 200


def files(folder: str) -> set[str]:
    return set(os.listdir(folder)) | set(os.listdir("/"))


def raw(server, data: bytes, *, half_close: bool = False) -> bytes:
    """What the server answers to exactly these bytes."""
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as client:
        client.sendall(data)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        got = b""
        while part := client.recv(65536):
            got += part
        return got


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../../etc", "a/../../etc", "%2e%2e/%2e%2e/etc", "..%2f..%2fetc", "a/./b", "/etc"),
        *("a+b", "A", "a%0d%0aX-Evil:1", "a%00", "%ff%fe", "a%20b", "_a", "a_", "a" * 256),
        *("a/" * 130 + "a", "~root", "$(id)", "a;id", "a%5cb"),
    ],
)
@pytest.mark.parametrize(
    "rest", ["manifests/v1", f"blobs/{UNKNOWN}", "tags/list", "blobs/uploads/"]
)
def test_a_bad_repository(server, name, rest):
    method = "POST" if rest.endswith("uploads/") else "GET"
    answer = server.ask(method, f"/v2/{name}/{rest}")
    assert (answer.status, answer.codes) == (400, ["NAME_INVALID"])


@pytest.mark.parametrize(
    "digest",
    [
        *("sha256:..", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "x", ".."),
        *("sha256:" + "0" * 64 + "%0a", "sha512:" + "0" * 128, "md5:" + "0" * 32, "sha256:"),
    ],
)
def test_a_bad_digest(server, digest):
    for target in (f"blobs/{digest}", f"referrers/{digest}"):
        answer = server.ask("GET", f"/v2/lab/good/{target}")
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    location = server.start_upload("lab/good")
    answer = server.ask("PUT", f"{location}?digest={digest}", b"x")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert server.ask("DELETE", location).status == 204


@pytest.mark.parametrize("tag", [".hidden", "-rf", "a" * 129, "a%20b", "..", "%2e%2e", "a%00"])
def test_a_bad_tag(server, tag):
    answer = server.ask("PUT", f"/v2/lab/good/manifests/{tag}", b"{}", Content_Type=MANIFEST)
    assert (answer.status, answer.codes) == (400, ["TAG_INVALID"])


@pytest.mark.parametrize("upload", ["..", "%2e%2e", "x" * 5000, "index.json", "0" * 36])
def test_a_bad_upload(server, upload):
    for method in ("GET", "PATCH", "DELETE"):
        answer = server.ask(method, f"/v2/lab/good/blobs/uploads/{upload}", b"x")
        assert answer.status == 404


def both_kinds(server) -> dict[str, object]:
    return server.image_of("lab/good") | {"manifests": []}


def config_outside(server) -> dict[str, object]:
    document = server.image_of("lab/good")
    document["config"]["digest"] = "sha256:../../../../etc/passwd"
    return document


def negative_size(server) -> dict[str, object]:
    document = server.image_of("lab/good")
    document["layers"][0]["size"] = -1
    return document


def says_another_kind(server) -> dict[str, object]:
    return server.image_of("lab/good") | {"mediaType": INDEX}


def deeply_nested(server) -> bytes:
    return b'{"schemaVersion": 2, "config": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"


@pytest.mark.parametrize(
    "make",
    [
        *(both_kinds, config_outside, negative_size, says_another_kind, deeply_nested),
        *(lambda _: {"schemaVersion": 2}, lambda _: {"schemaVersion": 1, "layers": []}),
    ],
)
def test_a_bad_manifest(server, make):
    data = as_bytes(make(server))
    answer = server.ask("PUT", "/v2/lab/good/manifests/bad", data, Content_Type=MANIFEST)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert server.ask("HEAD", "/v2/lab/good/manifests/bad").status == 404


@pytest.mark.parametrize("digest", ["sha512:" + "0" * 128, "sha256:../../etc/passwd", ""])
def test_a_bad_digest_in_a_manifest_is_pointed_to(server, digest):
    document = server.image_of("lab/good")
    document["layers"][0]["digest"] = digest
    answer = server.ask(
        "PUT", "/v2/lab/good/manifests/bad", as_bytes(document), Content_Type=MANIFEST
    )
    (error,) = answer.json["errors"]
    assert "`$.layers[0].digest` is not a digest that labkit knows" in error["message"]


def test_a_manifest_that_is_too_large(server):
    data = as_bytes(server.image_of("lab/good") | {"annotations": {"a": "x" * 4_200_000}})
    answer = server.ask("PUT", "/v2/lab/good/manifests/big", data, Content_Type=MANIFEST)
    assert answer.status == 413
    assert "4194304 bytes" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"GET /v2/ HTTP/1.1\r\nX: " + b"x" * 270_000 + b"\r\n\r\n", b"431", b"262144 bytes"),
        (b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 10_001 + b"\r\n", b"431", b"header lines"),
        (b"GET /v2/ HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400", b"number of bytes"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"400", b"TLS handshake"),
        (b"hello\r\n\r\n", b"400", b"request line"),
        (b"GET /v2/ HTTP/1.1\r\nA b\r\n\r\n", b"400", b"header line"),
        (b"GET elsewhere HTTP/1.1\r\n\r\n", b"400", b"target"),
        (
            b"PUT /v2/lab/good/manifests/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Length: 5\r\n\r\n0\r\n\r\n",
            b"400",
            b"not both",
        ),
    ],
)
def test_bytes_that_are_no_request(server, data, status, words):
    started = time.monotonic()
    got = raw(server, data)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert words in got
    assert b'{"errors":[{"code":"' in got
    assert time.monotonic() - started < 10


def test_a_client_that_goes_away_leaves_what_it_sent(server):
    location = server.start_upload("lab/half")
    head = f"PATCH {location} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n".encode()
    raw(server, head + b"x" * 300, half_close=True)
    assert server.ask("GET", location).headers["Range"] == "0-299"
    answer = server.ask("PATCH", location, b"y" * 700, Content_Range="300-999")
    digest = digest_of(b"x" * 300 + b"y" * 700)
    assert server.ask("PUT", f"{answer.location}?digest={digest}", b"").status == 201


def test_two_requests_at_one_upload(server):
    location = server.start_upload("lab/two")
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as client:
        client.sendall(f"PATCH {location} HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc".encode())
        deadline = time.monotonic() + 20
        while server.ask("GET", location).headers["Range"] != "0-2":
            assert time.monotonic() < deadline
        answer = server.ask("PATCH", location, b"def")
        assert (answer.status, answer.codes) == (409, ["BLOB_UPLOAD_INVALID"])
        client.sendall(b"defghi")
        assert client.recv(100).startswith(b"HTTP/1.1 202")


def test_slow_clients_hold_nobody_up(server):
    host, _, port = server.address.rpartition(":")
    with ExitStack() as stack:
        for number in range(60):
            location = server.start_upload("lab/slow")
            client = socket.create_connection((host, int(port)), timeout=15)
            stack.enter_context(client)
            half = f"PATCH {location} HTTP/1.1\r\nContent-Length: 99999\r\n\r\nsome".encode()
            client.sendall(half if number % 2 else half[:20])
        started = time.monotonic()
        server.push_image("lab/fast", "v1")
        assert server.ask("GET", "/v2/lab/fast/manifests/v1").status == 200
        assert time.monotonic() - started < 10


def test_a_client_that_does_not_read_holds_nobody_up(server):
    digest = server.push_blob("lab/large", bytes(20_000_000))
    host, _, port = server.address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(10):
            client = socket.create_connection((host, int(port)), timeout=15)
            stack.enter_context(client)
            client.sendall(f"GET /v2/lab/large/blobs/{digest} HTTP/1.1\r\n\r\n".encode())
        started = time.monotonic()
        assert len(server.ask("GET", f"/v2/lab/large/blobs/{digest}").body) == 20_000_000
        assert time.monotonic() - started < 10


def test_the_log_on_the_terminal_is_plain_text(server):
    server.ask("GET", "/v2/", User_Agent="\x9b31mred\xff")
    deadline = time.monotonic() + 20
    # A request is logged when it has been answered, so perhaps not yet.
    while b"?31mred?" not in (text := Path(server.output).read_bytes()):
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    assert all(byte == 10 or 32 <= byte < 127 for byte in text)


def test_a_mount_from_a_manifest_is_an_upload(server):
    manifest = descriptor(MANIFEST, server.ask("GET", "/v2/lab/good/manifests/v1").body)
    target = f"/v2/lab/thief/blobs/uploads/?mount={manifest['digest']}&from=lab/good"
    assert server.ask("POST", target, b"").status == 202


def test_a_manifest_is_not_deleted_as_a_blob(server):
    digest = digest_of(server.ask("GET", "/v2/lab/good/manifests/v1").body)
    answer = server.ask("DELETE", f"/v2/lab/good/blobs/{digest}")
    assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])
