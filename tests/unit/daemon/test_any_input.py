"""Whatever a client sends, it gets labkit's own errors or an answer: nothing else gets out."""

import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.daemon import create_body, filters
from labkit.daemon.create_body import CONFIG_NOT_YET, HOST_CONFIG_NOT_YET
from labkit.daemon.routes import TABLE
from labkit.errors import LabkitError, NotFoundError
from labkit.http.connection import Connection
from labkit.http.requests import Query, Request, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
CONFIG_FIELDS = [*CONFIG_NOT_YET, "Image", "Cmd", "Env", "Labels", "StopTimeout", "HostConfig"]
HOST_FIELDS = [*HOST_CONFIG_NOT_YET, "Memory", "NetworkMode", "PidsLimit", "Init"]
HEAD_LINES = st.lists(
    st.binary(max_size=30)
    | st.sampled_from(
        [b"GET / HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"A: b"]
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours)


@given(HEAD_LINES)
def test_heads(connection, lines):
    head = b"\r\n".join([*lines, b"", b""])
    try:
        request = parse(head, connection)
    except LabkitError:
        return
    assert isinstance(request, Request)
    assert request.path.startswith("/")


@given(st.text())
def test_queries(text):
    try:
        query = Query(text)
        query.flag("a")
        query.integer("a")
        query.timestamp_s("a")
    except LabkitError:
        return


@given(st.text() | JSON.map(lambda value: msgspec.json.encode(value).decode()))
def test_filters(text):
    try:
        found = filters.parse(text, {"name", "label"})
    except LabkitError:
        return
    assert set(found) <= {"name", "label"}
    assert filters.has_labels(found, {"a": "b"}) in (True, False)


@given(
    st.dictionaries(st.sampled_from(CONFIG_FIELDS), JSON),
    st.dictionaries(st.sampled_from(HOST_FIELDS), JSON),
)
def test_create_bodies(config, host_config):
    try:
        decoded = create_body.decode(config | {"HostConfig": host_config})
    except LabkitError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(decoded.config.image, str)


@given(st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT"]), st.text())
def test_paths(method, path):
    try:
        handler, names = TABLE.find(method, path)
    except NotFoundError:
        return
    assert callable(handler)
    assert all(names)
