"""Calls between two sides in one process, and from peers that break the rules."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from labkit.rpc import calls, connection, errors, serving, wire
from labkit.rpc.calls import Made, Served
from labkit.rpc.connection import Connection
from labkit.rpc.errors import CallError
from labkit.rpc.tunnel import Tunnel


class Data(wire.Struct):
    data: Annotated[bytes, 1] = b""


class Caller:
    def __init__(self, link: connection.Link) -> None:
        self.connection = Connection(link, is_client=True)
        threading.Thread(target=self.connection.run, daemon=True).start()

    def call(self, path: str, metadata: calls.Metadata | None = None) -> Made:
        return calls.call(self.connection, path, metadata)

    def ask(self, path: str, data: bytes = b"") -> bytes:
        return calls.ask(self, path, Data(data), Data, 10).data


@contextmanager
def served(handlers: Mapping[str, Callable[[Served], None]]) -> Iterator[socket.socket]:
    """A server of these methods, and the client's end of its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def serve() -> None:
            serving.Server(ours, handlers).run()
            ours.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield theirs
        with contextlib.suppress(OSError):
            theirs.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


def echo(call: Served) -> None:
    for message in call.messages(Data):
        call.send(message)


def test_messages_go_in_both_directions_and_keep_their_order() -> None:
    with served({"/s/Echo": echo}) as link:
        made = Caller(link).call("/s/Echo")
        threading.Thread(
            target=lambda: (
                [made.send(Data(bytes([n]) * 40_000)) for n in range(200)] and made.send(end=True)
            ),
            daemon=True,
        ).start()
        found = [message.data for message in made.messages(Data)]
        assert found == [bytes([n]) * 40_000 for n in range(200)]


def test_a_status_has_code_message_and_details() -> None:
    def fail(call: Served) -> None:
        raise CallError(errors.NOT_FOUND, "not hère: 100%", b"\1\2\3")

    with served({"/s/Fail": fail}) as link, pytest.raises(CallError) as found:
        Caller(link).ask("/s/Fail")
    assert (found.value.code, str(found.value), found.value.details) == (
        *(errors.NOT_FOUND, "not hère: 100%", b"\1\2\3"),
    )


def test_an_unknown_method_and_a_defect_are_statuses(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(call: Served) -> None:
        raise KeyError("x")

    with served({"/s/Broken": broken}) as link:
        caller = Caller(link)
        for path, code in (("/s/No", errors.UNIMPLEMENTED), ("/s/Broken", errors.INTERNAL)):
            with pytest.raises(CallError) as found:
                caller.ask(path)
            assert found.value.code == code
    assert "/s/Broken failed" in capfd.readouterr().err


def test_an_empty_frame_is_no_end() -> None:
    with served({"/s/Echo": echo}) as link:
        made = Caller(link).call("/s/Echo")
        for data in (b"a", b"b"):
            made.send()
            time.sleep(0.05)
            made.send(Data(data))
        made.send(end=True)
        assert [message.data for message in made.messages(Data)] == [b"a", b"b"]


def test_metadata_arrives_with_repeated_names() -> None:
    seen: list[list[str]] = []

    def look(call: Served) -> None:
        seen.append(call.metadata["key"])
        call.send(Data(b"ok"))

    with served({"/s/Look": look}) as link:
        made = Caller(link).call("/s/Look", {"key": ["a", "b"]})
        made.send(end=True)
        assert made.receive(Data) == Data(b"ok")
    assert seen == [["a", "b"]]


def test_breaking_a_call_off_reaches_the_other_side() -> None:
    cancelled = threading.Event()

    def last(call: Served) -> None:
        call.on_cancel(cancelled.set)
        call.send(Data(b"begun"))
        cancelled.wait(10)

    with served({"/s/Last": last}) as link:
        made = Caller(link).call("/s/Last")
        assert made.receive(Data) == Data(b"begun")
        made.cancel()
        assert cancelled.wait(10)


def test_the_end_of_the_connection_ends_its_calls() -> None:
    ended = threading.Event()

    def last(call: Served) -> None:
        try:
            call.receive(Data)
            call.receive(Data)
        except CallError:
            ended.set()

    with served({"/s/Last": last}) as link:
        made = Caller(link).call("/s/Last")
        made.send(Data(b"x"))
        time.sleep(0.1)
    assert ended.wait(10)
    with pytest.raises(CallError):
        made.receive(Data)


def test_an_answer_that_does_not_come_is_a_deadline() -> None:
    done = threading.Event()
    with served({"/s/Wait": lambda _: done.wait(10) and None}) as link:
        with pytest.raises(CallError) as found:
            Caller(link).call("/s/Wait").receive_bytes(0.1)
        assert found.value.code == errors.DEADLINE_EXCEEDED
        done.set()


def test_a_tunnel_carries_a_connection() -> None:
    def carry(call: Served) -> None:
        call.answer_headers()
        serving.Server(Tunnel(call), {"/s/Echo": echo_one}).run()

    def echo_one(call: Served) -> None:
        message = call.receive(Data)
        assert message is not None
        call.send(message)

    with served({"/s/Carry": carry}) as link:
        inner = Caller(Tunnel(Caller(link).call("/s/Carry")))
        assert inner.ask("/s/Echo", b"z" * 300_000) == b"z" * 300_000


# Peers that break the rules


def head(size: int, flag: int = 0) -> bytes:
    return struct.pack(">BL", flag, size)


class Raw:
    """A client that speaks HTTP/2 by h2 itself, and sends what it likes."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.http = H2Connection(H2Configuration(client_side=True))
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.link.sendall(self.http.data_to_send())

    def open(self, path: str) -> int:
        number = self.http.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
        self.http.send_headers(number, headers)
        return number

    def status(self) -> str:
        """The first status that comes."""
        self.link.settimeout(10)
        while data := self.link.recv(1 << 16):
            for event in self.http.receive_data(data):
                for name, value in getattr(event, "headers", None) or ():
                    if name == b"grpc-status":
                        return str(value.decode())
            self.flush()
        return ""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (head(0xFFFFFFFF), errors.RESOURCE_EXHAUSTED),
        (head(5 << 20), errors.RESOURCE_EXHAUSTED),
        (head(3, flag=1) + b"abc", errors.UNIMPLEMENTED),
        (head(10) + b"abc", errors.INTERNAL),
        (head(2) + b"\x12\x09", errors.INTERNAL),
        (b"\0\0", errors.INTERNAL),
    ],
)
def test_bad_messages_are_statuses(data: bytes, code: int) -> None:
    with served({"/s/Echo": echo}) as link:
        raw = Raw(link)
        number = raw.open("/s/Echo")
        raw.http.send_data(number, data, end_stream=True)
        raw.flush()
        assert raw.status() == str(code)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\0\0\0\0\0\1",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\4\x09\0\0\0\0\1abcd",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\4\0\0\0\1\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\0\0\0\0\1\x82" * 2,
        b"",
    ],
)
def test_what_is_no_http2_ends_the_connection(data: bytes) -> None:
    with served({}) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        link.settimeout(10)
        while link.recv(1 << 16):
            pass


def test_streams_that_are_opened_and_reset_for_ever_end_the_connection() -> None:
    """CVE-2023-44487."""
    with served({"/s/Echo": echo}) as link:
        raw = Raw(link)
        with pytest.raises(OSError):
            for _ in range(20_000):
                number = raw.open("/s/Echo")
                raw.http.reset_stream(number)
                raw.flush()
        assert threading.active_count() < 150


def test_more_calls_than_a_connection_may_have_are_refused() -> None:
    done = threading.Event()
    with served({"/s/Wait": lambda _: done.wait(10) and None}) as link:
        caller = Caller(link)
        made = [caller.call("/s/Wait") for _ in range(serving.CALLS_MAX + 1)]
        for each in made:
            each.send(end=True)
        with pytest.raises(CallError) as found:
            made[-1].receive_bytes(10)
        assert found.value.code == errors.RESOURCE_EXHAUSTED
        done.set()


def test_a_peer_that_gives_no_credit_costs_what_its_window_holds() -> None:
    sent: list[int] = []

    def pour(call: Served) -> None:
        for _ in range(1000):
            call.send(Data(bytes(30_000)))
            sent.append(1)

    with served({"/s/Pour": pour}) as link:
        raw = Raw(link)
        number = raw.open("/s/Pour")
        raw.http.end_stream(number)
        raw.flush()
        time.sleep(0.5)
        assert 1 <= len(sent) <= 3


def test_a_reader_that_does_not_read_stops_the_sender() -> None:
    """The window is given back when a message is taken, not when it arrives."""
    done = threading.Event()
    with served({"/s/Wait": lambda _: done.wait(10) and None}) as link:
        made = Caller(link).call("/s/Wait")
        sent: list[int] = []

        def pour() -> None:
            with contextlib.suppress(CallError):  # the test is over
                for _ in range(200):
                    made.send(Data(bytes(100_000)))
                    sent.append(1)

        thread = threading.Thread(target=pour, daemon=True)
        thread.start()
        time.sleep(0.5)
        assert len(sent) * 100_000 <= connection.STREAM_WINDOW_BYTES
        done.set()
