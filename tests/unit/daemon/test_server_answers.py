"""How answers leave: whole, as streams, by giving the connection away; errors, and the end."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Hijack, Response, Stream, json_response
from labkit.errors import ConflictError
from labkit.http import server

GET = b"GET / HTTP/1.1\r\n\r\n"


def say_path(request: Request) -> Answer:
    return Response(200, request.path.encode())


def wait_until(holds) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "this did not come true in 5 s"
        time.sleep(0.005)


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


def test_an_error_before_the_head_is_the_answer(serve, capfd):
    """What was there when the request was checked may be gone when it is served."""

    def hijack(request: Request) -> Answer:
        def take(fd: int, send_head: Callable[[], None]) -> None:
            raise ConflictError("gone") if request.path == "/gone" else KeyError("defect")

        return Hijack(take)

    status, headers, body = serve(hijack).exchange(b"POST /gone HTTP/1.1\r\n\r\n")
    assert (status, body) == (409, b'{"message":"gone"}\n')
    assert headers["connection"] == "close"
    assert serve(hijack).exchange(GET)[0] == 500
    assert "KeyError: 'defect'" in capfd.readouterr().err


def test_an_error_after_the_head_ends_the_stream(serve, capfd):
    def hijack(request: Request) -> Answer:
        def take(fd: int, send_head: Callable[[], None]) -> None:
            send_head()
            raise ConflictError("gone")

        return Hijack(take)

    client = serve(hijack).connect()
    client.send(GET)
    assert client.head()[0] == 200
    assert client.rest() == b""
    assert "GET /: gone" in capfd.readouterr().err


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
