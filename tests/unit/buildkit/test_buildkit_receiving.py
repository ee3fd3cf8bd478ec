"""Folders from a client: what arrives, what is not sent again, and clients that lie."""

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from labkit.build.context.archive import Archive, Node
from labkit.buildkit.kept import Kept
from labkit.buildkit.messages import DATA, ERR, FIN, REQ, STAT, Packet, Stat
from labkit.buildkit.receiving import ContentFile, Receiver
from labkit.errors import InvalidParameterError, LabkitError
from labkit.rpc import calls, serving
from labkit.rpc.calls import Served
from labkit.rpc.connection import Connection
from labkit.rpc.errors import CallError

FOLDER, LINK, PIPE, DEVICE, SOCKET, SET_USER = 1 << 31, 1 << 27, 1 << 25, 1 << 26, 1 << 24, 1 << 23
MOMENT_NS = 1_500_000_000_123
Client = Callable[[Served], None]


@contextmanager
def receiver(client: Client, known: object = None) -> Iterator[tuple[Receiver, int]]:
    """A receiver whose sender is `client`; and the descriptor of what it has received."""
    ours, theirs = socket.socketpair()
    server = serving.Server(theirs, {"/x/DiffCopy": client})
    with ours, theirs, tempfile.TemporaryFile() as file:
        threading.Thread(target=server.run, daemon=True).start()
        connection = Connection(ours, is_client=True)
        threading.Thread(target=connection.run, daemon=True).start()
        call = calls.call(connection, "/x/DiffCopy")
        content = ContentFile(file.fileno(), tempfile.gettempdir())
        yield Receiver(call, content, known or {}, lambda _: None), file.fileno()  # type: ignore[arg-type]
        connection.close()


def sends(files: list[tuple[Stat, bytes]], asked: list[int] | None = None) -> Client:
    """A client that lists files and sends what it is asked for, as fsutil does."""

    def client(call: Served) -> None:
        call.send(*(Packet(STAT, stat) for stat, _ in files), Packet(STAT))
        while (packet := call.receive(Packet)) is not None:
            if packet.type == FIN:
                call.send(Packet(FIN))
                return
            assert packet.type == REQ
            if asked is not None:
                asked.append(packet.id)
            content = files[packet.id][1]
            for at in range(0, len(content), 1000):
                call.send(Packet(DATA, id=packet.id, data=content[at : at + 1000]))
            call.send(Packet(DATA, id=packet.id))

    return client


def says(*packets: Packet) -> Client:
    """A client that says what it has to say, whatever it is asked."""

    def client(call: Served) -> None:
        call.send(*packets)
        while (packet := call.receive(Packet)) is not None:
            if packet.type == FIN:
                return

    return client


def file_stat(path: bytes, size: int = 0, mode: int = 0o644, **more: object) -> Stat:
    return Stat(path, mode, size=size, **more)  # type: ignore[arg-type]


def content(archive: Archive, node: Node) -> bytes:
    return b"".join(archive.stored(node))


def test_files_folders_links_and_names_that_are_no_text() -> None:
    files = [
        (file_stat(b"d", mode=FOLDER | 0o750), b""),
        (
            file_stat(b"d/\xff\xfe", 5000, SET_USER | 0o755, modified_ns=1_500_000_000_123),
            b"x" * 5000,
        ),
        (file_stat(b"d/hard", 5000, linkname=b"d/\xff\xfe"), b""),
        (file_stat(b"d/soft", mode=LINK | 0o777, linkname=b"\xff"), b""),
        (file_stat(b"p", mode=PIPE | 0o600), b""),
        (file_stat(b"z", 3, xattrs={"user.a": b"\xff"}), b"abc"),
    ]
    with receiver(sends(files)) as (one, fd):
        one.receive()
        archive = Archive(open(os.dup(fd), "rb"), one.root)
        name = b"\xff\xfe".decode("utf-8", "surrogateescape")
        found = archive.find(f"d/{name}")
        assert content(archive, found) == b"x" * 5000
        assert found.member.mode == 0o4755
        assert (found.member.mtime, found.member.pax_headers["mtime"]) == (1500, "1500.000000123")
        assert archive.find("d/hard") is found
        assert one.root.children["d"].children["soft"].kind == "link"
        assert archive.find("p").kind == "pipe"
        assert content(archive, archive.find("z")) == b"abc"
        archive.close()


def test_many_files_are_asked_for_without_waiting_for_each_other() -> None:
    files = [(file_stat(b"%05d" % n, 1500), b"%05d" % n * 300) for n in range(6000)]
    with receiver(sends(files)) as (one, fd):
        one.receive()
        archive = Archive(open(os.dup(fd), "rb"), one.root)
        for n in (0, 1, 2999, 5999):
            assert content(archive, archive.find(f"{n:05}")) == b"%05d" % n * 300
        archive.close()


def test_a_file_that_is_longer_or_shorter_than_it_was_is_taken_as_it_came() -> None:
    files = [(file_stat(b"long", 10), b"x" * 5000), (file_stat(b"short", 1 << 62), b"y")]
    with receiver(sends(files)) as (one, _):
        one.receive()
        assert one.root.children["long"].member.size == 5000
        assert one.root.children["short"].member.size == 1


def test_what_is_as_before_is_not_asked_for() -> None:
    files = [
        (file_stat(b"a", 3, modified_ns=1), b"aaa"),
        (file_stat(b"b", 3, modified_ns=1), b"bbb"),
        (file_stat(b"c", 3, modified_ns=1), b"ccc"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(folder)

        def build() -> list[int]:
            asked: list[int] = []
            with kept.slot(("key", "context")) as slot:
                with receiver(sends(files, asked), slot.known) as (one, _):
                    one._content = slot.content()
                    one.receive()
                slot.note(one._content, one.found)
                archive = Archive(open(os.dup(slot.fd), "rb"), one.root)
                for stat, data in files:
                    assert content(archive, archive.find(stat.path.decode())) == data
                archive.close()
            return sorted(asked)

        assert build() == [0, 1, 2]
        assert build() == []
        files[1] = (file_stat(b"b", 3, modified_ns=2), b"new")
        assert build() == [1]
        del files[0]
        assert build() == []
        files.insert(0, (file_stat(b"a", 3, modified_ns=1), b"aaa"))
        assert build() == [0]  # it was gone in between
        assert kept.all()[0].uses == 5
        assert [gone.size_bytes for gone in kept.prune()] == [15]
        assert kept.all() == []
        assert os.listdir(folder) == []


BAD_NAMES = [
    *(b"..", b"/etc", b"", b".", b"a/../b", b"d//x", b"d/", b"nul\0", b"no/folder", b"f/below"),
    *(b"x" * 5000, b"l/below", b"f"),
]


@pytest.mark.parametrize("path", BAD_NAMES)
def test_names_that_no_file_can_have_are_refused(path: bytes) -> None:
    first = [
        Packet(STAT, file_stat(b"d", mode=FOLDER | 0o755)),
        Packet(STAT, file_stat(b"f")),
        Packet(STAT, file_stat(b"l", mode=LINK | 0o777, linkname=b"d")),
    ]
    with (
        receiver(says(*first, Packet(STAT, file_stat(path)))) as (one, _),
        pytest.raises(InvalidParameterError),
    ):
        one.receive()


@pytest.mark.parametrize(
    "packets",
    [
        [Packet(STAT, file_stat(b"a", linkname=b"none"))],
        [Packet(STAT, file_stat(b"a", mode=FOLDER)), Packet(STAT, file_stat(b"b", linkname=b"a"))],
        [Packet(STAT, file_stat(b"a", linkname=b"a"))],
        [Packet(STAT, file_stat(b"a", mode=DEVICE | 0o600, device_major=1, device_minor=3))],
        [Packet(STAT, file_stat(b"a", mode=1 << 19))],
        [Packet(STAT, file_stat(b"a", mode=LINK | 0o777))],
        [Packet(DATA, id=0, data=b"unasked")],
        [Packet(STAT, file_stat(b"a", 1)), Packet(STAT), Packet(DATA, id=7, data=b"x")],
        [Packet(STAT), Packet(STAT, file_stat(b"late"))],
        [Packet(STAT, file_stat(b"a", 1)), Packet(FIN)],
        [Packet(ERR, data=b"permission denied")],
        [Packet(9)],
        [Packet(REQ, id=1)],
    ],
)
def test_conversations_that_make_no_sense_are_refused(packets: list[Packet]) -> None:
    with receiver(says(*packets)) as (one, _), pytest.raises(InvalidParameterError):
        one.receive()


def test_a_client_that_goes_away_ends_the_transfer() -> None:
    def client(call: Served) -> None:
        call.send(Packet(STAT, file_stat(b"a", 10)), Packet(STAT))
        call.receive(Packet)
        call.cancel()

    with receiver(client) as (one, _), pytest.raises((CallError, InvalidParameterError)):
        one.receive()


def test_more_than_the_disk_holds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.buildkit.receiving.limit_bytes", lambda _: 1500)
    files = [(file_stat(b"a", 5000), b"x" * 5000)]
    with receiver(sends(files)) as (one, _), pytest.raises(LabkitError, match="No space left"):
        one.receive()


def test_a_list_without_end_and_attributes_without_end_are_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("labkit.buildkit.receiving.MEMBERS_MAX", 100)
    many = [Packet(STAT, file_stat(b"%d" % n)) for n in range(101)]
    with (
        receiver(says(*many)) as (one, _),
        pytest.raises(InvalidParameterError, match="more than 100 files"),
    ):
        one.receive()
    monkeypatch.setattr("labkit.buildkit.receiving.HEADS_MAX_BYTES", 1 << 20)
    large = [
        Packet(STAT, file_stat(b"%d" % n, xattrs={"user.a": bytes(500_000)})) for n in range(3)
    ]
    with (
        receiver(says(*large)) as (one, _),
        pytest.raises(InvalidParameterError, match="attributes"),
    ):
        one.receive()
