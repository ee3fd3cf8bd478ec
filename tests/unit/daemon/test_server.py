"""What the server does with bytes: good ones, bad ones, slow ones, too many of them."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Hijack, Response, Stream, json_response
from labkit.errors import ConflictError
from labkit.http import connection, requests, server

GET = b"GET / HTTP/1.1\r\n\r\n"


def say_path(request: Request) -> Answer:
    return Response(200, request.path.encode())


def echo(request: Request) -> Answer:
    return Response(200, request.body_bytes())


def ignore_body(request: Request) -> Answer:
    return Response(404, b"no")


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
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET /\xe9 HTTP/1.1\r\n\r\n", 400, b"target"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\n: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", 400, b"header line"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, b"CR LF"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, b"100 header lines"),
        (b"GET /" + b"x" * 70_000, 431, b"65536"),
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
        (b"GET /?" + b"a&" * 200 + b" HTTP/1.1\r\n\r\n", 400, b"query"),
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


@pytest.mark.parametrize(
    ("body_bytes", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\na\r\n2;name=value\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"00a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
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
        (b"2\r\nabc\r\n0\r\n\r\n", b"longer than it said"),
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


def test_an_answer_reaches_a_client_whose_body_nobody_read(serve):
    client = serve(ignore_body).connect()
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    status, headers, body = client.response()
    assert (status, body) == (404, b"no")
    assert headers["connection"] == "close"


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


def test_an_unexpected_exception_is_a_500_with_a_traceback_in_the_log(serve, capfd):
    def fail(request: Request) -> Answer:
        raise KeyError("the cat")

    serving = serve(fail)
    client = serving.connect()
    client.send(GET)
    status, _, body = client.response()
    assert status == 500
    assert b"KeyError: 'the cat'" in body
    assert b"Traceback" not in body
    client.send(GET)
    assert client.response()[0] == 500, "the connection and its thread live on"
    assert "Traceback (most recent call last)" in capfd.readouterr().err


def test_a_broken_pipe_of_the_engine_is_not_taken_for_the_clients(serve, capfd):
    def fail(request: Request) -> Answer:
        raise BrokenPipeError("the spawner is gone")

    assert serve(fail).exchange(GET)[0] == 500
    assert "the spawner is gone" in capfd.readouterr().err


def test_an_error_of_labkits_is_an_answer(serve, capfd):
    def refuse(request: Request) -> Answer:
        raise ConflictError("it runs")

    status, _, body = serve(refuse).exchange(GET)
    assert (status, body) == (409, b'{"message":"it runs"}\n')
    assert capfd.readouterr().err == ""


def test_a_stream_is_chunked_and_its_head_comes_first(serve):
    go = threading.Event()

    def stream(request: Request) -> Answer:
        def chunks() -> Iterator[bytes]:
            assert go.wait(5)
            yield b"one"
            yield b""
            yield b"two"

        return Stream(chunks())

    client = serve(stream).connect()
    client.send(GET)
    status, headers = client.head()
    assert status == 200
    assert headers["transfer-encoding"] == "chunked"
    go.set()
    assert client.until(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    client.send(GET)
    assert client.head()[0] == 200


def test_a_stream_for_http_1_0_ends_with_the_connection(serve):
    client = serve(lambda request: Stream(iter([b"one", b"two"]))).connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    status, headers = client.head()
    assert status == 200
    assert "transfer-encoding" not in headers
    assert headers["connection"] == "close"
    assert client.rest() == b"onetwo"


def test_a_stream_that_fails_is_cut_off_not_ended(serve, capfd):
    def fail(request: Request) -> Answer:
        def chunks() -> Iterator[bytes]:
            yield b"one"
            raise RuntimeError("in the middle")

        return Stream(chunks())

    client = serve(fail).connect()
    client.send(GET)
    assert client.rest().endswith(b"3\r\none\r\n"), "no last chunk: the client knows it is not all"
    assert "in the middle" in capfd.readouterr().err


def test_a_stream_notices_that_its_client_has_gone(serve):
    closed = threading.Event()

    def stream(request: Request) -> Answer:
        def chunks() -> Iterator[bytes]:
            try:
                while not request.connection.client_is_gone():
                    time.sleep(0.01)
            finally:
                closed.set()
            yield b""

        return Stream(chunks())

    client = serve(stream).connect()
    client.send(GET)
    client.head()
    client.socket.shutdown(socket.SHUT_WR)
    assert not closed.wait(0.1), "a half-closed client still listens"
    client.close()
    assert closed.wait(5)


def test_a_hijacked_connection_is_passed_on_with_every_byte_after_the_head(serve):
    """The bytes that came together with the head are standard input: none may be swallowed."""
    taken: list[socket.socket] = []
    passed_on = threading.Event()

    def hijack(request: Request) -> Answer:
        def take(fd: int, send_head: Callable[[], None]) -> None:
            send_head()
            taken.append(socket.socket(fileno=os.dup(fd)))
            passed_on.set()

        return Hijack(take)

    client = serve(hijack).connect()
    head = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    client.send(head + b"first bytes\n")
    status, headers = client.head()
    assert status == 101
    assert (headers["connection"], headers["upgrade"]) == ("Upgrade", "tcp")
    assert passed_on.wait(5)
    with taken[0] as other:
        other.settimeout(5)
        client.send(b"and more")
        got = b""
        while len(got) < 20:
            got += other.recv(100)
        assert got == b"first bytes\nand more"
        other.sendall(b"output")
        assert client.socket.recv(100) == b"output", "the server's copy was not shut down"
        client.socket.shutdown(socket.SHUT_WR)
        assert other.recv(1) == b""
        other.sendall(b"more after the half-close")
        assert client.socket.recv(100) == b"more after the half-close"


def test_without_upgrade_the_raw_stream_follows_a_200(serve):
    def hijack(request: Request) -> Answer:
        return Hijack(lambda fd, send_head: send_head() or os.write(fd, b"raw"))

    client = serve(hijack).connect()
    client.send(b"POST / HTTP/1.1\r\n\r\n")
    status, headers = client.head()
    assert status == 200
    assert headers == {"content-type": "application/vnd.docker.raw-stream"}
    assert client.rest() == b"raw"


def test_one_client_too_many_is_turned_away(serve, monkeypatch):
    monkeypatch.setattr(server.resource, "getrlimit", lambda _: (4, 4))
    serving = serve(say_path)
    kept = [serving.connect() for _ in range(2)]
    for client in kept:
        client.send(GET)
        assert client.response()[0] == 200
    status, _, body = serving.connect().response()
    assert status == 503
    assert b"too many connections" in body
    kept[0].close()

    def is_served() -> bool:
        client = serving.connect()
        try:
            client.send(GET)
            return client.response()[0] == 200
        except ConnectionError:
            return False

    wait_until(is_served)


def test_finish_waits_for_requests_in_work(serve):
    started, done = threading.Event(), threading.Event()

    def slow(request: Request) -> Answer:
        started.set()
        time.sleep(0.2)
        done.set()
        return json_response({})

    serving = serve(slow)
    client = serving.connect()
    client.send(GET)
    assert started.wait(5)
    serving.finish()
    assert done.is_set()
    assert client.response()[0] == 200
    with pytest.raises(OSError):
        serving.connect()
