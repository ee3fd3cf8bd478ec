"""Uploads: not at all, mounted, whole, in chunks, and taken up after a break."""

import io
import os
from collections.abc import Iterator

import pytest

from labkit.images.models import Descriptor
from labkit.registry.client import uploads
from labkit.registry.client.errors import RegistryError, UnreachableError
from tests.unit.registry_client.conftest import Connect
from tests.unit.registry_client.fake import Answer, Asked, FakeRegistry, digest_of

DATA = os.urandom(100_000)
BLOB = Descriptor("application/octet-stream", digest_of(DATA), len(DATA))
START = "POST /v2/library/x/blobs/uploads/"
SESSION = {"Location": "/session?state=1"}


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(uploads, "WHOLE_LIMIT_BYTES", 0)
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 40_000)
    yield


class Session:
    """An honest registry's upload; `breaks` are the numbers of chunks that are lost."""

    def __init__(self, fake: FakeRegistry, *breaks: int) -> None:
        self.data = b""
        self.breaks = breaks
        self.count = 0
        fake.on(START, Answer(202, headers=SESSION))
        fake.on("PATCH /session", self.patch)
        fake.on("GET /session", lambda asked: Answer(204, headers=self.headers()))
        fake.on("PUT /session", self.put)

    def headers(self) -> dict[str, str]:
        return SESSION | {"Range": f"0-{max(len(self.data) - 1, 0)}"}

    def patch(self, asked: Asked) -> Answer:
        self.count += 1
        if self.count in self.breaks:
            self.data += asked.body[:10_000]
            return Answer(500)
        start, _, end = asked.headers["content-range"].partition("-")
        assert int(end) - int(start) + 1 == len(asked.body)
        if int(start) != len(self.data):
            return Answer(416, headers=self.headers())
        self.data += asked.body
        return Answer(202, headers=self.headers())

    def put(self, asked: Asked) -> Answer:
        assert asked.query.startswith("state=1&digest=sha256")
        self.data += asked.body
        return Answer(201 if digest_of(self.data) == BLOB.digest else 400)


def upload(connect: Connect) -> uploads.Upload:
    return connect(pushes=True).upload(BLOB, lambda: io.BytesIO(DATA), lambda sent: None)


def test_a_small_blob_goes_in_one_piece(fake: FakeRegistry, connect: Connect) -> None:
    session = Session(fake)
    upload(connect).send()
    assert session.data == DATA
    assert fake.lines() == ["GET /v2/", START, "PUT /session"]


@pytest.mark.usefixtures("chunks")
def test_a_large_one_in_chunks(fake: FakeRegistry, connect: Connect) -> None:
    session = Session(fake)
    upload(connect).send()
    assert session.data == DATA
    assert fake.lines().count("PATCH /session") == 3


@pytest.mark.usefixtures("chunks")
def test_a_lost_chunk_is_sent_from_where_it_broke(fake: FakeRegistry, connect: Connect) -> None:
    session = Session(fake, 1, 3)
    upload(connect).send()
    assert session.data == DATA
    ranges = [a.headers["content-range"] for a in fake.asked if a.method == "PATCH"]
    assert ranges[:3] == ["0-39999", "10000-49999", "50000-89999"]


@pytest.mark.usefixtures("chunks")
def test_a_forgotten_session_begins_anew(fake: FakeRegistry, connect: Connect) -> None:
    session = Session(fake)
    gone = Answer(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}')
    fake.on("PATCH /session", gone, session.patch)
    upload(connect).send()
    assert session.data == DATA
    assert fake.lines().count(START) == 2


@pytest.mark.usefixtures("chunks")
def test_a_registry_that_takes_nothing_is_given_up(fake: FakeRegistry, connect: Connect) -> None:
    Session(fake)
    fake.on("PATCH /session", Answer(500))
    with pytest.raises(RegistryError, match="answered 500"):
        upload(connect).send()


@pytest.mark.usefixtures("chunks")
def test_a_registry_that_has_more_than_there_is(fake: FakeRegistry, connect: Connect) -> None:
    Session(fake)
    fake.on("PATCH /session", Answer(202, headers=SESSION | {"Range": "0-999999"}))
    with pytest.raises(UnreachableError, match="more bytes of a blob than it has"):
        upload(connect).send()


def test_no_word_of_where_to_upload(fake: FakeRegistry, connect: Connect) -> None:
    fake.on(START, Answer(202))
    with pytest.raises(UnreachableError, match="no Location"):
        upload(connect).send()


def test_mounting(fake: FakeRegistry, connect: Connect) -> None:
    fake.on(START, Answer(202, headers=SESSION), Answer(201))
    fake.on("DELETE /session", Answer(204))
    assert upload(connect).mount(["library/a", "library/b"]) == "library/b"
    assert [a.query for a in fake.asked if a.method == "POST"] == [
        f"mount=sha256%3A{BLOB.digest[7:]}&from=library%2Fa",
        f"mount=sha256%3A{BLOB.digest[7:]}&from=library%2Fb",
    ]
    assert fake.lines().count("DELETE /session") == 1


def test_a_refused_digest_is_said(fake: FakeRegistry, connect: Connect) -> None:
    Session(fake)
    body = b'{"errors": [{"code": "DIGEST_INVALID", "message": "not it"}]}'
    fake.on("PUT /session", Answer(400, body))
    with pytest.raises(RegistryError, match=r"^digest invalid: not it$"):
        upload(connect).send()
