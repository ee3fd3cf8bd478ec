"""What the server does with a connection's requests: good ones, bad ones, slow ones."""

import socket
import threading
import time

import pytest

from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response
from labkit.http import connection

GET = b"GET / HTTP/1.1\r\n\r\n"


def say_path(request: Request) -> Answer:
    return Response(200, request.path.encode())


def threads_of_connections() -> int:
    return sum(thread.name.endswith("(_converse)") for thread in threading.enumerate())


def wait_until(holds) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "this did not come true in 5 s"
        time.sleep(0.005)


def test_a_connection_carries_many_requests(serve):
    client = serve(say_path).connect()
    for number in range(3):
        client.send(b"GET /%d HTTP/1.1\r\n\r\n" % number)
        status, headers, body = client.response()
        assert (status, body) == (200, b"/%d" % number)
        assert "connection" not in headers


def test_pipelined_requests_are_answered_in_order(serve):
    client = serve(say_path).connect()
    client.send(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n")
    assert [client.response()[2] for _ in range(3)] == [b"/a", b"/b", b"/c"]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://docker/said", "/said"),
        (b"HTTP://[::1]:80/v1.44/said?x", "/said"),
        ("/f\u00fcnf".encode(), "/f\u00fcnf"),
        (b"/f%C3%BCnf", "/f\u00fcnf"),
        (b"/\xff", "/\ufffd"),
    ],
)
def test_other_forms_of_a_target(serve, target, path):
    client = serve(say_path).connect()
    client.send(b"GET %b HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n" % target)
    assert client.response()[2].decode() == path


def test_many_names_and_headers_in_one_request(serve):
    """`docker save` of a thousand images names each in the query."""
    client = serve(lambda request: Response(200, str(len(request.query.texts("names"))).encode()))
    query = b"&".join(b"names=example.org/some/image:%d" % number for number in range(1000))
    headers = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
    connection = client.connect()
    connection.send(b"GET /images/get?%b HTTP/1.1\r\n%b\r\n" % (query, headers))
    assert connection.response()[2] == b"1000"


def test_a_response_leaves_in_one_piece(serve):
    """Two small writes would be two wake-ups of the client: latency is what a lab feels."""
    client = serve(lambda request: Response(200, b"x" * 500)).connect()
    client.send(GET)
    got = client.socket.recv(65536)
    assert got.endswith(b"\r\n\r\n" + b"x" * 500)


def test_head_answers_with_the_length_and_no_body(serve):
    client = serve(say_path).connect()
    client.send(b"HEAD /abc HTTP/1.1\r\n\r\n")
    status, headers = client.head()
    assert status == 200
    assert headers["content-length"] == "4"
    client.send(b"GET /next HTTP/1.1\r\n\r\n")
    assert client.response()[2] == b"/next"


@pytest.mark.parametrize(
    ("request_head", "keeps"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_a_connection_is_kept_as_the_client_asked(serve, request_head, keeps):
    client = serve(say_path).connect()
    client.send(request_head)
    _, headers, _ = client.response()
    assert ("connection" not in headers) is keeps
    if keeps:
        client.send(GET)
        assert client.response()[0] == 200
    else:
        assert client.rest() == b""


@pytest.mark.parametrize(
    ("request_bytes", "status", "words"),
    [
        (b"\r\n\r\n", 400, b"request line"),
        (b"GET\r\n\r\n", 400, b"request line"),
        (b"GET /\r\n\r\n", 400, b"request line"),
        (b"GET  / HTTP/1.1\r\n\r\n", 400, b"request line"),
        (b"G\x00T / HTTP/1.1\r\n\r\n", 400, b"request line"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, b"TLS handshake"),
        (b"GET / HTTP/2.0\r\n\r\n", 505, b"HTTP/2.0"),
        (b"GET x/ HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET http://x HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\n: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, b"CR LF"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, b"one Host"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_001 + b"\r\n", 431, b"10000 header"),
        (b"GET /" + b"x" * 270_000, 431, b"262144"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, b"Content-Length"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400, b"Content-Length"),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400, b"Content-Length"),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n", 400, b"Content-Length"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            b"Content-Length",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            b"not both",
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, b"gzip"),
        (b"POST / HTTP/1.1\r\nExpect: cake\r\n\r\n", 417, b"cake"),
        (b"GET /?" + b"a&" * 10_001 + b" HTTP/1.1\r\n\r\n", 400, b"query"),
    ],
)
def test_a_malformed_request_is_answered_and_closed(serve, request_bytes, status, words):
    serving = serve(say_path)
    client = serving.connect()
    client.send(request_bytes)
    got, headers, body = client.response()
    assert got == status
    assert words in body
    assert body.startswith(b'{"message":"')
    assert headers["connection"] == "close"
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert serving.exchange(GET)[0] == 200, "another client must not feel it"


def test_a_head_that_does_not_arrive_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_TIME_S", 0.05)
    client = serve(say_path).connect()
    client.send(b"GET / HT")
    assert client.response()[0] == 408


def test_a_head_sent_drop_by_drop_has_one_deadline(serve, monkeypatch):
    """Each byte in time, all of them too late: the slow-loris way to hold a thread."""
    monkeypatch.setattr(connection, "HEAD_TIME_S", 0.15)
    client = serve(say_path).connect()
    with pytest.raises(BrokenPipeError):
        for byte in b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50:
            client.send(bytes([byte]))
            time.sleep(0.01)
    assert client.head()[0] == 408


def test_an_idle_connection_is_kept_without_limit(serve, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_TIME_S", 0.05)
    client = serve(say_path).connect()
    time.sleep(0.2)
    client.send(GET)
    assert client.response()[0] == 200


def test_slow_clients_do_not_hold_up_others(serve):
    serving = serve(say_path)
    slow = [serving.connect() for _ in range(20)]
    for client in slow:
        client.send(b"GET / HTTP")
    assert serving.exchange(GET)[0] == 200
    for client in slow:
        client.send(b"/1.1\r\n\r\n")
        assert client.response()[0] == 200


def test_a_client_that_leaves_in_the_middle_of_its_head_frees_its_thread(serve):
    serving = serve(say_path)
    before = threads_of_connections()
    client = serving.connect()
    client.send(b"GET / HT")
    client.close()
    assert serving.exchange(GET)[0] == 200
    wait_until(lambda: threads_of_connections() <= before)


def test_a_half_closed_client_gets_its_answer(serve):
    client = serve(say_path).connect()
    client.send(GET)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.response()[0] == 200
    assert client.rest() == b""


def test_a_half_closed_head_is_an_error(serve):
    client = serve(say_path).connect()
    client.send(b"GET / HTTP/1.1\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    status, _, body = client.response()
    assert status == 400
    assert b"middle of its head" in body
