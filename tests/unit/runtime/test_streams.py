"""The shim's streams with real pipes and sockets."""

import contextlib
import json
import os
import socket
import struct

import pytest

from labkit.runtime.streams import MOST_WAITING, Streams, make_pipes
from labkit.runtime.watcher import Watcher


@pytest.fixture
def make(tmp_path):
    made = []

    def build(open_stdin=False, stdin_once=False):
        watcher = Watcher()
        pipes = make_pipes(open_stdin)
        container_ends = [os.dup(fd) for fd in pipes.child]
        streams = Streams(watcher, pipes, str(tmp_path / "log"), stdin_once)
        streams.begin()
        made.append(streams)
        return streams, watcher, container_ends

    yield build
    for streams in made:
        streams.close()


def turn(watcher, times=20):
    for _ in range(times):
        watcher.serve(0.01)


def frames(data):
    found = []
    while data:
        number, length = struct.unpack(">BxxxL", data[:8])
        found.append((number, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


def entries(tmp_path):
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_output_goes_to_the_log_and_to_the_clients_that_want_it(make, tmp_path):
    streams, watcher, ends = make()
    both, only_err = socket.socketpair(), socket.socketpair()
    streams.attach(both[0].detach(), (False, True, True, b""))
    streams.attach(only_err[0].detach(), (False, False, True, b""))
    _, out, err = ends
    os.write(out, b"one\ntwo")
    turn(watcher)
    os.write(err, b"oops\n")
    turn(watcher)
    for fd in ends:
        os.close(fd)
    turn(watcher)
    assert streams.is_drained
    streams.close()
    assert frames(both[1].recv(1000)) == [(1, b"one\ntwo"), (2, b"oops\n")]
    assert frames(only_err[1].recv(1000)) == [(2, b"oops\n")]
    assert [(e["stream"], e["log"]) for e in entries(tmp_path)] == [
        ("stdout", "one\n"),
        ("stderr", "oops\n"),
        ("stdout", "two"),
    ]


def test_bytes_that_are_not_utf8_and_control_characters_are_valid_json(make, tmp_path):
    streams, watcher, ends = make()
    os.write(ends[1], b'\xff"\\\x00\x1b[0m\t\n')
    turn(watcher)
    streams.close()
    assert entries(tmp_path)[0]["log"] == '\ufffd"\\\x00\x1b[0m\t\n'


def test_a_backslash_and_an_n_are_not_a_newline(make, tmp_path):
    streams, watcher, ends = make()
    os.write(ends[1], b"a\\nb\n\n\nc")
    turn(watcher)
    streams.close()
    assert [e["log"] for e in entries(tmp_path)] == ["a\\nb\n", "\n", "\n", "c"]


def test_a_character_is_not_cut_in_two(make, tmp_path):
    streams, watcher, ends = make()
    os.write(ends[1], b"x" + "\u20ac".encode() * 12000 + b"\n")
    turn(watcher)
    streams.close()
    assert "".join(e["log"] for e in entries(tmp_path)) == "x" + "\u20ac" * 12000 + "\n"


def test_a_long_line_is_cut_in_pieces(make, tmp_path):
    streams, watcher, ends = make()
    for _ in range(3):
        os.write(ends[1], b"x" * 20000)
        turn(watcher)
    os.write(ends[1], b"\n")
    turn(watcher)
    streams.close()
    found = [e["log"] for e in entries(tmp_path)]
    assert "".join(found) == "x" * 60000 + "\n"
    assert max(map(len, found)) <= 16 * 1024 + 1


def test_stdin_reaches_the_container_and_ends_when_the_client_half_closes(make):
    streams, watcher, ends = make(open_stdin=True, stdin_once=True)
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (True, True, True, b""))
    ours.sendall(b"input")
    ours.shutdown(socket.SHUT_WR)
    turn(watcher)
    assert os.read(ends[0], 100) == b"input"
    assert os.read(ends[0], 100) == b""
    # The output still goes to the client that has no more input.
    os.write(ends[1], b"answer")
    turn(watcher)
    assert frames(ours.recv(100)) == [(1, b"answer")]


def test_much_stdin_waits_for_the_container_and_none_is_lost(make):
    streams, watcher, ends = make(open_stdin=True, stdin_once=True)
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (True, False, False, b""))
    ours.setblocking(False)
    data = os.urandom(3_000_000)
    sent, received = 0, bytearray()
    stdin = ends[0]
    os.set_blocking(stdin, False)
    while len(received) < len(data):
        with contextlib.suppress(BlockingIOError):
            sent += ours.send(data[sent : sent + 65536]) if sent < len(data) else 0
        turn(watcher, 2)
        with contextlib.suppress(BlockingIOError):
            received += os.read(stdin, 1 << 20)
    assert bytes(received) == data


def test_a_client_that_does_not_read_never_blocks_the_container(make):
    streams, watcher, ends = make()
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (False, True, True, b""))
    piece = b"y" * 60000
    for _ in range(MOST_WAITING // len(piece) + 50):
        os.write(ends[1], piece)
        watcher.serve(0)
    # It was given up: after what its socket held there is an end of file.
    ours.settimeout(5)
    while ours.recv(1 << 20):
        pass


def test_a_client_that_has_gone_is_forgotten(make):
    streams, watcher, ends = make()
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (True, True, True, b""))
    ours.close()
    turn(watcher)
    for _ in range(3):
        os.write(ends[1], b"z\n")
        turn(watcher)
    assert not streams._clients


def test_a_client_that_goes_after_its_half_close_is_forgotten_though_nothing_is_printed(make):
    streams, watcher, _ = make()
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (False, True, True, b""))
    ours.shutdown(socket.SHUT_WR)
    turn(watcher, 3)
    assert len(streams._clients) == 1
    ours.close()
    turn(watcher, 3)
    assert not streams._clients


def test_what_a_client_sent_before_it_went_is_still_input(make):
    streams, watcher, ends = make(open_stdin=True, stdin_once=True)
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (True, True, True, b""))
    data = os.urandom(150_000)
    ours.sendall(data)
    ours.close()
    received = bytearray()
    os.set_blocking(ends[0], False)
    for _ in range(50):
        turn(watcher, 1)
        with contextlib.suppress(BlockingIOError):
            received += os.read(ends[0], 1 << 20)
    assert bytes(received) == data
    assert not streams._clients


def test_a_client_that_leaves_while_output_waits_for_it(make):
    """In one round the process prints and the client, for whom much waits already, is gone."""
    streams, watcher, ends = make()
    ours, theirs = socket.socketpair()
    streams.attach(theirs.detach(), (False, True, True, b""))
    while not streams.has_waiting_clients:
        os.write(ends[1], b"y" * 60000)
        watcher.serve(0)
    os.write(ends[1], b"z")
    ours.close()
    for fd in ends:
        os.close(fd)
    turn(watcher)
    assert streams.is_drained


def test_a_full_disk_costs_the_log_and_nothing_else(tmp_path):
    os.symlink("/dev/full", tmp_path / "log")
    watcher = Watcher()
    pipes = make_pipes(False)
    out = os.dup(pipes.child[1])
    streams = Streams(watcher, pipes, str(tmp_path / "log"), False)
    ours, theirs = socket.socketpair()
    streams.begin()
    streams.attach(theirs.detach(), (False, True, True, b""))
    os.write(out, b"one\ntwo")
    os.close(out)
    turn(watcher)
    streams.close()
    assert frames(ours.recv(100)) == [(1, b"one\ntwo")]
