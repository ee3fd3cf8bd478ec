"""What the server does with the bodies of requests."""

import socket
from collections.abc import Iterator

import pytest

from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, Stream
from labkit.http import requests


def echo(request: Request) -> Answer:
    return Response(200, request.body_bytes())


def ignore_body(request: Request) -> Answer:
    return Response(404, b"no")


@pytest.mark.parametrize(
    ("body_bytes", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\na\r\n2;name=value\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"00a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"1  \r\na\r\n1 ;x=y\r\nb\r\n0\r\n\r\n", b"ab"),
        (b"A\r\n0123456789\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", b"0123456789"),
    ],
)
def test_a_chunked_body_is_decoded(serve, body_bytes, body):
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body_bytes)
    assert client.response()[2] == body
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok")
    assert client.response()[2] == b"ok", "the connection stands at the next request"


@pytest.mark.parametrize(
    ("body_bytes", "words"),
    [
        (b"x\r\n", b"not a number"),
        (b"\r\n", b"not a number"),
        (b"-1\r\n", b"not a number"),
        (b"0x5\r\n", b"not a number"),
        (b"fffffffffffffffff\r\n", b"not a number"),
        (b" 1\r\na\r\n0\r\n\r\n", b"not a number"),
        (b"1\n\r\na\r\n0\r\n\r\n", b"not a number"),
        (b"1;\nx\r\na\r\n0\r\n\r\n", b"not a number"),
        (b"1\x0c\r\na\r\n0\r\n\r\n", b"not a number"),
        (b"0\r\nno trailer\r\n\r\n", b"Name: value"),
        (b"2\r\nabc\r\n0\r\n\r\n", b"longer than its size"),
        (b"1" + b";" * 300, b"over"),
        (b"0\r\n" + b"A: b\r\n" * 40, b"too many trailers"),
    ],
)
def test_a_malformed_chunk_is_refused(serve, body_bytes, words):
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body_bytes)
    status, headers, body = client.response()
    assert status in (400, 431)
    assert words in body
    assert headers["connection"] == "close"


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_body_that_ends_early_is_an_error(serve, framing):
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n5\r\nab")
    client.socket.shutdown(socket.SHUT_WR)
    status, _, body = client.response()
    assert status == 400
    assert b"ended" in body


def test_a_body_that_never_comes_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(requests, "JSON_TIME_S", 0.05)
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
    assert client.response()[0] == 408


def test_a_body_over_the_limit_is_refused_while_it_is_being_sent(serve, monkeypatch):
    monkeypatch.setattr(requests, "JSON_LIMIT_BYTES", 100_000)
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)
    status, headers, _ = client.response()
    assert status == 413
    assert headers["connection"] == "close"


def test_what_follows_a_body_of_a_false_length_is_the_next_request(serve):
    client = serve(echo).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nokNONSENSE\r\n\r\n")
    assert client.response()[2] == b"ok"
    assert client.response()[0] == 400


def test_a_client_is_asked_for_its_body_before_a_stream_that_reads_it_begins(serve):
    client = serve(lambda request: Stream(_told(request))).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"ok")
    answer = client.until(b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"6\r\nbegun \r\n2\r\nok\r\n0\r\n\r\n")


def _told(request: Request) -> Iterator[bytes]:
    yield b"begun "
    yield request.body_bytes()


def test_an_answer_reaches_a_client_whose_body_nobody_read(serve):
    client = serve(ignore_body).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    status, headers, body = client.response()
    assert (status, body) == (404, b"no")
    assert headers["connection"] == "close"


def test_a_short_body_that_no_handler_read_costs_no_connection(serve):
    client = serve(ignore_body).connect()
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n")
        status, headers, _ = client.response()
        assert (status, "connection" in headers) == (404, False)
        client.send(b"x" * 60_000)
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort")
    assert client.response()[0] == 404
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b"", "what follows half a body is no request"


def test_the_client_is_told_to_send_its_body_only_when_it_is_wanted(serve):
    expecting = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    client = serve(echo).connect()
    client.send(expecting)
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"ok")
    assert client.response()[2] == b"ok"
    client = serve(ignore_body).connect()
    client.send(expecting)
    assert client.response()[0] == 404
