"""The HTTP client against a server that writes every byte itself."""

import threading
import time

import pytest

from labkit.client.http import Connection, ProtocolError, connect, quote
from labkit.errors import DaemonUnavailableError
from tests.unit.client.stand_in import CLOSE, StandIn, chunk, chunked_head, response


def byte_by_byte(data):
    return [bytes([byte]) for byte in data]


CHUNKS = chunked_head() + chunk(b"one ") + b"4;name=value\r\ntwo \r\n" + chunk(b"x" * 70000)
CHUNKS += b"0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (response(body=b"hello"), b"hello"),
        (response(body=b""), b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (CHUNKS, b"one two " + b"x" * 70000),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + response(body=b"after"), b"after"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nlf", b"lf"),
    ],
    ids=["length", "empty", "204", "chunked", "continue", "bare newlines"],
)
def test_bodies_and_the_next_request_on_the_same_connection(serve, answer, body) -> None:
    stand_in = serve(lambda request: answer)
    connection = Connection(stand_in.path)
    for _ in range(2):
        assert connection.request("GET", "/").read() == body
        assert connection.is_idle()
    assert stand_in.connections == 1
    connection.close()


def test_a_time_out_does_not_delay_the_next_request(serve) -> None:
    stand_in = serve(lambda request: response(body=b"hello"))
    connection = Connection(stand_in.path, timeout_s=5)
    connection.request("GET", "/").read()
    begin = time.monotonic()
    assert connection.is_idle()
    assert time.monotonic() - begin < 2
    connection.close()


def test_a_response_may_arrive_one_byte_at_a_time(serve) -> None:
    answer = chunked_head() + chunk(b"abc") + chunk(b"defg") + b"0\r\n\r\n"
    stand_in = serve(lambda request: byte_by_byte(answer))
    assert Connection(stand_in.path).request("GET", "/").read() == b"abcdefg"


def test_body_until_close(serve) -> None:
    stand_in = serve(lambda request: [b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it", CLOSE])
    connection = Connection(stand_in.path)
    assert connection.request("GET", "/").read() == b"all of it"
    assert not connection.is_idle()


def test_connection_close_is_obeyed(serve) -> None:
    stand_in = serve(lambda request: response(body=b"x", headers=["Connection: close"]))
    connection = Connection(stand_in.path)
    connection.request("GET", "/").read()
    assert not connection.is_idle()


def test_pieces_come_as_they_are_sent(serve) -> None:
    arrived = threading.Event()

    def slowly(request):
        yield chunked_head()
        yield chunk(b"first")
        if arrived.wait(5):
            yield chunk(b"second") + b"0\r\n\r\n"

    parts = iter(Connection(serve(slowly).path).request("GET", "/"))
    assert next(parts) == b"first"
    arrived.set()
    assert b"".join(parts) == b"second"


def test_request_with_a_body_of_known_length(serve) -> None:
    stand_in = serve(lambda request: response())
    Connection(stand_in.path).request("POST", "/x?y=1", b"{}").read()
    request = stand_in.requests[0]
    assert (request.method, request.target, request.body) == ("POST", "/x?y=1", b"{}")
    assert request.headers["content-type"] == "application/json"


def test_request_with_a_body_in_chunks(serve) -> None:
    stand_in = serve(lambda request: response())
    pieces = [b"a" * 100_000, b"", b"end"]
    Connection(stand_in.path).request("POST", "/", pieces, content_type="application/x-tar").read()
    request = stand_in.requests[0]
    assert request.body == b"a" * 100_000 + b"end"
    assert request.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in request.headers


def test_a_post_without_a_body_says_so(serve) -> None:
    stand_in = serve(lambda request: response())
    Connection(stand_in.path).request("POST", "/").read()
    assert stand_in.requests[0].headers["content-length"] == "0"


def test_the_answer_to_a_refused_upload_is_read(serve) -> None:
    def endless():
        for _ in range(10_000):
            yield b"x" * 65536

    class Refusing(StandIn):
        def _converse(self, client, number) -> None:
            client.recv(1000)
            client.sendall(response("507 Insufficient Storage", b"no space"))
            client.close()

    stand_in = serve(lambda request: b"")
    refusing = Refusing(stand_in.path + "2", stand_in.answer)
    try:
        answer = Connection(refusing.path).request("POST", "/", endless())
        assert (answer.status, answer.read()) == (507, b"no space")
    finally:
        refusing.close()


def test_hijack_gives_the_socket_and_what_was_read_with_the_head(serve) -> None:
    head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

    def upgrade(request):
        yield head + b"early"
        received = request.socket.recv(100)
        yield b"echo " + received
        yield CLOSE

    stand_in = serve(upgrade)
    answer = Connection(stand_in.path).request("POST", "/attach", upgrade=True)
    assert answer.status == 101
    raw, early = answer.hijack()
    assert early == b"early"
    raw.sendall(b"typed")
    received = b""
    while part := raw.recv(100):
        received += part
    raw.close()
    assert received == b"echo typed"
    assert stand_in.requests[0].headers["upgrade"] == "tcp"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        chunked_head() + b"zz\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
    ],
    ids=["not http", "no status", "length", "negative", "chunk size", "endless line"],
)
def test_what_is_not_http_is_refused(serve, answer) -> None:
    with pytest.raises(ProtocolError):
        Connection(serve(lambda request: answer).path).request("GET", "/").read()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        chunked_head() + b"a\r\nhalf",
        chunked_head() + chunk(b"whole"),
    ],
    ids=["nothing", "head", "length", "inside a chunk", "between chunks"],
)
def test_a_server_that_dies_in_the_middle_is_noticed(serve, answer) -> None:
    stand_in = serve(lambda request: [answer, CLOSE])
    with pytest.raises(DaemonUnavailableError, match="ended in the middle of its answer"):
        Connection(stand_in.path).request("GET", "/").read()


def test_a_connection_the_server_has_closed_is_not_idle(serve) -> None:
    stand_in = serve(lambda request: [response(), CLOSE])
    connection = Connection(stand_in.path)
    connection.request("GET", "/").read()
    stand_in.wait_for_closes()
    assert not connection.is_idle()


def test_a_silent_server_is_given_up(serve) -> None:
    stand_in = serve(lambda request: [time.sleep(0.5) or b""])
    with pytest.raises(DaemonUnavailableError, match=r"did not answer within 0\.1 s"):
        Connection(stand_in.path, timeout_s=0.1).request("GET", "/")


def test_the_length_of_the_path_does_not_matter(tmp_path) -> None:
    folder = tmp_path / ("d" * 200)
    folder.mkdir()
    stand_in = StandIn(str(folder / "labkit.sock"), lambda request: response(body=b"far"))
    try:
        assert Connection(stand_in.path).request("GET", "/").read() == b"far"
    finally:
        stand_in.close()


def test_connect_tells_why_it_could_not(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(str(tmp_path / "none.sock"))
    with pytest.raises(FileNotFoundError):
        connect(str(tmp_path / "no folder" / "none.sock"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectionRefusedError):
        connect(str(tmp_path / "file"))


def test_quote() -> None:
    assert quote("a b/ü?&=%") == "a%20b%2F%C3%BC%3F%26%3D%25"
    assert quote("name/x:1", b"/:") == "name/x:1"
    assert quote("\udcff") == "%FF"


def test_to_close_a_response_that_is_over_leaves_its_connection_to_the_next(serve) -> None:
    """By then another thread may be using it."""
    stand_in = serve(lambda request: response(body=b"x"))
    connection = Connection(stand_in.path)
    first = connection.request("GET", "/")
    first.read()
    second = connection.request("GET", "/")
    first.close()
    assert second.read() == b"x"
    connection.close()
