"""The relay of a published port, with real sockets: no namespace is needed to move bytes."""

import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from labkit.runtime import relay

TIMEOUT_S = 20.0
LARGE = os.urandom(3 << 20)
Start = Callable[[socket.socket, tuple[str, int]], socket.socket]


def _bound(kind: int, address: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, kind)
    made.settimeout(TIMEOUT_S)
    made.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        made.listen(512)
    return made


def _client(where: tuple[str, int]) -> socket.socket:
    return socket.create_connection(where, TIMEOUT_S)


def _read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def lines() -> Iterator[list[socket.socket]]:
    """The life lines of the relays of a test; every relay has ended when this is over."""
    kept: list[socket.socket] = []
    yield kept
    for line in kept:
        line.settimeout(TIMEOUT_S)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(1) == b""
        line.close()
        os.wait()


@pytest.fixture
def tcp(lines: list[socket.socket]) -> Iterator[tuple[tuple[str, int], socket.socket]]:
    """The address of a relay, and the server to which it leads."""
    with _bound(socket.SOCK_STREAM) as server:
        outside = _bound(socket.SOCK_STREAM)
        where = outside.getsockname()
        lines.append(relay.start(outside, server.getsockname()))
        yield where, server


def test_a_side_that_has_ended_still_gets_the_whole_answer(
    tcp: tuple[tuple[str, int], socket.socket],
) -> None:
    where, server = tcp

    def answer() -> None:
        with server.accept()[0] as connection:
            connection.sendall(_read_all(connection)[::-1])

    thread = threading.Thread(target=answer)
    thread.start()
    with _client(where) as client:
        client.sendall(LARGE)
        client.shutdown(socket.SHUT_WR)
        assert _read_all(client) == LARGE[::-1]
    thread.join()


def test_a_server_that_ends_first_still_hears_the_client(
    tcp: tuple[tuple[str, int], socket.socket],
) -> None:
    where, server = tcp
    with _client(where) as client, server.accept()[0] as connection:
        connection.sendall(b"over")
        connection.shutdown(socket.SHUT_WR)
        assert _read_all(client) == b"over"
        client.sendall(b"but listen")
        client.shutdown(socket.SHUT_WR)
        assert _read_all(connection) == b"but listen"


def test_a_fast_stream_leaves_time_for_others(
    tcp: tuple[tuple[str, int], socket.socket],
) -> None:
    where, server = tcp
    stop = threading.Event()

    def send(connection: socket.socket) -> None:
        piece = bytes(1 << 20)
        while not stop.is_set():
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)

    def drain(connection: socket.socket) -> None:
        while connection.recv(1 << 20):
            pass

    with ExitStack() as stack:
        threads = []
        for _ in range(2):
            ends = stack.enter_context(_client(where)), stack.enter_context(server.accept()[0])
            for call, end in zip((send, drain), ends, strict=True):
                threads.append(threading.Thread(target=call, args=(end,)))
                threads[-1].start()
        waits = []
        for _ in range(20):
            began = time.monotonic()
            with _client(where) as client, server.accept()[0] as connection:
                client.sendall(b"ping")
                assert connection.recv(4) == b"ping"
            waits.append(time.monotonic() - began)
        stop.set()
        for thread in threads:
            thread.join()
    assert sorted(waits)[len(waits) // 2] < 1.0


def test_two_hundred_at_once_one_of_them_reads_nothing(
    tcp: tuple[tuple[str, int], socket.socket],
) -> None:
    where, server = tcp
    with ExitStack() as stack:
        slow = stack.enter_context(_client(where))
        behind = stack.enter_context(server.accept()[0])
        behind.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += behind.send(LARGE)
        clients = [stack.enter_context(_client(where)) for _ in range(200)]
        ends = [stack.enter_context(server.accept()[0]) for _ in clients]
        for number, client in enumerate(clients):
            client.sendall(b"%03d" % number)
        heard = {end.recv(3, socket.MSG_WAITALL) for end in ends}
        assert heard == {b"%03d" % number for number in range(200)}
        behind.close()
        assert len(_read_all(slow)) >= sent


def test_nobody_there_resets_the_connection_and_not_the_relay(lines: list[socket.socket]) -> None:
    with _bound(socket.SOCK_STREAM) as gone:
        target = gone.getsockname()
    outside = _bound(socket.SOCK_STREAM)
    where = outside.getsockname()
    lines.append(relay.start(outside, target))
    for _ in range(3):
        with pytest.raises(ConnectionResetError), _client(where) as client:
            client.recv(1)


def test_the_relay_ends_with_its_life_line() -> None:
    with _bound(socket.SOCK_STREAM) as server:
        outside = _bound(socket.SOCK_STREAM)
        where = outside.getsockname()
        line = relay.start(outside, server.getsockname())
        with _client(where) as client:
            line.close()
            os.wait()
            # It was let in already, and sees the end; or it waited, and is reset.
            with suppress(ConnectionError):
                assert client.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            _client(where)


def test_each_client_of_udp_gets_its_own_answers(lines: list[socket.socket]) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(_bound(socket.SOCK_DGRAM))
        outside = _bound(socket.SOCK_DGRAM)
        where = outside.getsockname()
        lines.append(relay.start(outside, server.getsockname()))
        clients = [stack.enter_context(_bound(socket.SOCK_DGRAM)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendto(b"%d" % number, where)
            data, address = server.recvfrom(100)
            server.sendto(b"to " + data, address)
        for number, client in enumerate(clients):
            assert client.recvfrom(100) == (b"to %d" % number, where)


def test_a_port_of_ipv6_leads_to_an_address_of_ipv4(lines: list[socket.socket]) -> None:
    with _bound(socket.SOCK_STREAM) as server:
        outside = _bound(socket.SOCK_STREAM, "::1")
        where = outside.getsockname()[:2]
        lines.append(relay.start(outside, server.getsockname()))
        with _client(where) as client, closing(server.accept()[0]) as connection:
            client.sendall(b"six")
            assert connection.recv(3) == b"six"


def test_a_flow_moves_a_part_at_a_time() -> None:
    """Who sends and reads without a pause would else be alone: there is always more to move."""
    with ExitStack() as stack:
        pairs = []
        for _ in range(2):
            listener = stack.enter_context(_bound(socket.SOCK_STREAM))
            near = stack.enter_context(_client(listener.getsockname()))
            far = stack.enter_context(listener.accept()[0])
            near.setblocking(False)
            far.setblocking(False)
            pairs.append((near, far))
        (sender, source), (target, _) = pairs
        flow = relay._Flow(source, target)
        stack.callback(flow.close)
        most = relay.MOST_PIECES * fcntl.fcntl(flow.write, fcntl.F_GETPIPE_SZ)
        sent = 0
        with suppress(BlockingIOError):
            while sent < 2 * most:
                sent += sender.send(LARGE)
        assert sent > most
        flow.move()
        waits = struct.unpack("i", fcntl.ioctl(source, termios.FIONREAD, bytes(4)))[0]
        assert waits > 0


def test_answers_keep_a_client_of_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        outside, server, client = (stack.enter_context(_bound(socket.SOCK_DGRAM)) for _ in range(3))
        passes = relay._Udp(outside, server.getsockname())
        now = [0.0]
        monkeypatch.setattr("labkit.runtime.relay.time.monotonic", lambda: now[0])
        client.sendto(b"listen", outside.getsockname())
        passes.take()
        _, address = server.recvfrom(10)
        (known,) = passes.clients.values()
        stack.callback(known.end.close)
        for text in (b"one", b"two", b"three"):
            now[0] += relay.UDP_IDLE_S - 1
            server.sendto(text, address)
            passes.watcher.serve(5)
            passes.tidy()
            assert client.recv(10) == text
        now[0] += relay.UDP_IDLE_S
        passes.tidy()
        assert not passes.clients
        assert known.end.fileno() == -1
