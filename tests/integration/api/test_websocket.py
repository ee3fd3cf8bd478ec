"""Attaching by WebSocket, with a client that others have written."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
import websocket

from tests.lab import Lab

pytestmark = pytest.mark.root


@pytest.fixture
def sockets(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()


def attached(lab: Lab, container: str, query: str) -> "websocket.WebSocket":
    import socket  # noqa: PLC0415

    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(20)
    plain.connect(lab.socket)
    url = f"ws://d/v1.51/containers/{container}/attach/ws?{query}"
    return websocket.create_connection(url, socket=plain)


def received(client: "websocket.WebSocket", enough: int) -> bytes:
    data = b""
    while len(data) < enough:
        kind, part = client.recv_data()
        if kind == websocket.ABNF.OPCODE_CLOSE:
            break
        data += part
    return data


@pytest.mark.parametrize("tty", [False, True])
def test_both_directions(sockets, tty):
    lab = sockets
    body = {"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True, "Tty": tty,
            "HostConfig": {"NetworkMode": "none"}}  # fmt: skip
    container = lab.api("POST", "/containers/create", body)[1]["Id"]
    lab.api("POST", f"/containers/{container}/start")
    client = attached(lab, container, "stream=1&stdin=1&stdout=1&stderr=1")
    large = b"x" * 2000
    for text in (b"hi\n", large + b"\n"):
        client.send_binary(text)
        wanted = text.replace(b"\n", b"\r\n") * 2 if tty else text
        assert received(client, len(wanted)) == wanted
    client.ping("are you there")
    client.send_binary(b"yes\n")
    assert b"yes" in received(client, 4)
    client.close()
    assert lab.api("GET", f"/containers/{container}/json")[1]["State"]["Running"]


def test_the_log_comes_first_and_the_end_closes(sockets):
    lab = sockets
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "echo one; sleep 1; echo two >&2"],
            "HostConfig": {"NetworkMode": "none"}}  # fmt: skip
    container = lab.api("POST", "/containers/create", body)[1]["Id"]
    lab.api("POST", f"/containers/{container}/start")
    time.sleep(0.4)
    client = attached(lab, container, "stream=1&logs=1&stdout=1&stderr=1")
    assert received(client, 1000) == b"one\ntwo\n"


def test_a_client_that_writes_much_before_it_reads(sockets):
    """A side that does not read must not stop the other one's data for ever, nor the end."""
    lab = sockets
    body = {"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True,
            "HostConfig": {"NetworkMode": "none"}}  # fmt: skip
    container = lab.api("POST", "/containers/create", body)[1]["Id"]
    lab.api("POST", f"/containers/{container}/start")
    client = attached(lab, container, "stream=1&stdin=1&stdout=1")
    size = 4_000_000

    def write() -> None:
        for _ in range(size // 50_000):
            client.send_binary(b"x" * 50_000)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    # Every buffer between the client and `cat` is full when the writer comes no further.
    writer.join(0.5)
    assert len(received(client, size)) == size
    writer.join(20)
    assert not writer.is_alive()


def test_the_end_reaches_a_client_whose_data_nobody_reads(sockets):
    lab = sockets
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "OpenStdin": True,
            "HostConfig": {"NetworkMode": "none"}}  # fmt: skip
    container = lab.api("POST", "/containers/create", body)[1]["Id"]
    lab.api("POST", f"/containers/{container}/start")
    client = attached(lab, container, "stream=1&stdin=1&stdout=1")
    writer = threading.Thread(target=_write_until_it_fails, args=(client,), daemon=True)
    writer.start()
    writer.join(0.5)
    assert lab.api("DELETE", f"/containers/{container}?force=1")[0] == 204
    # The frame alone: the answer to it, which `recv_data` sends, has to get past the writer.
    assert client.recv_frame().opcode == websocket.ABNF.OPCODE_CLOSE
    client.shutdown()
    writer.join(20)
    assert not writer.is_alive()


def _write_until_it_fails(client: "websocket.WebSocket") -> None:
    with contextlib.suppress(OSError, websocket.WebSocketException):
        while True:
            client.send_binary(b"x" * 50_000)


def test_what_is_no_websocket_is_told(sockets):
    lab = sockets
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}}
    container = lab.api("POST", "/containers/create", body)[1]["Id"]
    status, answer = lab.api("GET", f"/containers/{container}/attach/ws?stream=1")
    assert (status, "Upgrade: websocket" in answer["message"]) == (400, True)
