"""Small archives that ask for much time or memory, through every door: each is refused at once, and
labkitd is afterwards as large as before.
"""

import gzip
import hashlib
import http.client
import io
import json
import lzma
import os
import signal
import struct
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images import archive, entry
from tests.lab import Lab, UnixConnection

pytestmark = pytest.mark.root

ANSWER_MAX_S = 20.0
"""Far less than such an archive took; a machine under load is slow as well."""
GROWTH_MAX_BYTES = 48 << 20
HUGE = "9" * 20

Answer = tuple[int, str]


def post(lab: Lab, method: str, path: str, body: bytes) -> Answer:
    connection = UnixConnection(lab.socket, 120)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def import_(lab: Lab, body: bytes) -> Answer:
    return post(lab, "POST", "/images/create?fromSrc=-&repo=hostile", body)


def load(lab: Lab, body: bytes) -> Answer:
    return post(lab, "POST", "/images/load", body)


def load_layer(lab: Lab, body: bytes) -> Answer:
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    diff_id = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    described = [{"Config": "c.json", "RepoTags": ["hostile:1"], "Layers": ["layer"]}]
    documents = {"c.json": config, "manifest.json": described}
    members = [entry(name, content=json.dumps(what).encode()) for name, what in documents.items()]
    return load(lab, archive(*members, entry("layer", content=body)).getvalue())


def build(lab: Lab, body: bytes) -> Answer:
    dockerfile = archive(entry("Dockerfile", content=b"FROM scratch\nCOPY . /\n")).getvalue()
    start = dockerfile[: 512 + 512]
    context = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return post(lab, "POST", "/build?t=hostile", gzip.compress(start + context, 1))


def add(lab: Lab, body: bytes) -> Answer:
    dockerfile = entry("Dockerfile", content=b"FROM scratch\nADD a.tar /\n")
    context = archive(dockerfile, entry("a.tar", content=body)).getvalue()
    return post(lab, "POST", "/build?t=hostile", context)


def copy_in(lab: Lab, body: bytes) -> Answer:
    container = lab.cli("create", "busybox", check=True).stdout.strip()
    return post(lab, "PUT", f"/containers/{container}/archive?path=/tmp", body)


def copy_in_running(lab: Lab, body: bytes) -> Answer:
    container = lab.cli("run", "-d", "busybox", "sleep", "600", check=True).stdout.strip()
    return post(lab, "PUT", f"/containers/{container}/archive?path=/tmp", body)


DOORS: tuple[Callable[[Lab, bytes], Answer], ...] = (
    import_,
    load,
    load_layer,
    build,
    add,
    copy_in,
    copy_in_running,
)


def a_size_without_end() -> bytes:
    """What made tarfile seek for ever: whiteouts have no content to find out by."""
    return archive(entry(".wh.x", pax_headers={"size": HUGE}), entry("y")).getvalue()


def a_size_without_end_of_a_file() -> bytes:
    return archive(entry("x", pax_headers={"size": HUGE})).getvalue()


def a_size_that_is_no_number() -> bytes:
    return archive(entry("x", pax_headers={"size": "many"})).getvalue()


def a_time_that_is_no_number() -> bytes:
    return archive(entry("x", pax_headers={"mtime": "inf"})).getvalue()


def a_sparse_file_of_an_exabyte() -> bytes:
    sparse = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "big",
        "GNU.sparse.realsize": str(10**18),
    }
    return archive(entry("x", content=b"0\n".ljust(512, b"\0"), pax_headers=sparse)).getvalue()


def global_headers_that_add_up() -> bytes:
    def header(number: int) -> bytes:
        text = b"%d=" % number + b"x" * 900_000 + b"\n"
        record = b"%d " % (len(text) + 7) + text
        made = tarfile.TarInfo("g")
        made.type, made.size = tarfile.XGLTYPE, len(record)
        return made.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)

    packed = io.BytesIO()
    with gzip.open(packed, "wb", 1) as file:
        for number in range(100_000, 100_150):
            file.write(header(number))
        file.write(bytes(1024))
    return packed.getvalue()


REFUSED = (
    a_size_without_end,
    a_size_without_end_of_a_file,
    a_size_that_is_no_number,
    a_time_that_is_no_number,
    a_sparse_file_of_an_exabyte,
)


def memory_bytes(lab: Lab) -> int:
    pages = Path(f"/proc/{lab.daemon_pid()}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def is_refused(answer: Answer) -> bool:
    status, text = answer
    assert status < 500, text
    return status == 400 or '"errorDetail"' in text


def helpers_of(lab: Lab) -> list[int]:
    """The daemon's children but for the spawner: unpackers and other workers."""
    children = Path(f"/proc/{lab.daemon_pid()}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    return [pid for pid, name in names.items() if b"unpacker" in name or b"worker" in name]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_head_that_lies_is_refused_at_once(
    lab: Lab, door: Callable[[Lab, bytes], Answer]
) -> None:
    for make in REFUSED:
        before_bytes, started = memory_bytes(lab), time.monotonic()
        assert is_refused(door(lab, make())), make.__name__
        assert time.monotonic() - started < ANSWER_MAX_S, make.__name__
        assert memory_bytes(lab) - before_bytes < GROWTH_MAX_BYTES, make.__name__
        assert helpers_of(lab) == []


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_global_headers_do_not_add_up(lab: Lab, door: Callable[[Lab, bytes], Answer]) -> None:
    before_bytes, started = memory_bytes(lab), time.monotonic()
    status, text = door(lab, global_headers_that_add_up())
    assert status < 500, text
    assert time.monotonic() - started < ANSWER_MAX_S
    assert memory_bytes(lab) - before_bytes < GROWTH_MAX_BYTES


def test_xz_with_a_huge_dictionary_is_refused(lab: Lab) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]
    packed = bytearray(lzma.compress(archive(entry("x")).getvalue(), filters=filters))
    # The block header's filter: id 0x21, one byte of properties, 40 for a dictionary of 4 GiB.
    at = packed.index(b"\x21\x01", 12) + 2
    packed[at] = 40
    size = (packed[12] + 1) * 4
    packed[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(packed[12 : 12 + size - 4]))
    status, text = import_(lab, bytes(packed))
    assert status == 400, text
    assert "emory usage limit" in text


def test_the_unpacker_ends_with_its_client(lab: Lab) -> None:
    body = archive(entry("big", content=bytes(1 << 20))).getvalue()
    connection = UnixConnection(lab.socket, 60)
    connection.putrequest("POST", "/images/create?fromSrc=-&repo=left")
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders(body)
    wait_for(lambda: len(helpers_of(lab)) == 1)
    connection.close()
    wait_for(lambda: helpers_of(lab) == [])


def test_the_unpacker_ends_with_its_client_while_it_works(make_lab: Callable[[], Lab]) -> None:
    """Stopped, it stands for one that finds no end: the whole archive has been sent by then."""
    lab = make_lab()
    connection = UnixConnection(lab.socket, 60)
    connection.putrequest("POST", "/images/create?fromSrc=-&repo=left")
    # More than a pipe holds, and no more than the daemon takes in at once.
    body = archive(entry("a", content=bytes(120_000))).getvalue()
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    wait_for(lambda: len(helpers_of(lab)) == 1)
    (unpacker,) = helpers_of(lab)
    os.kill(unpacker, signal.SIGSTOP)
    connection.send(body)
    time.sleep(0.5)
    assert helpers_of(lab) == [unpacker]
    connection.close()
    wait_for(lambda: helpers_of(lab) == [])


def test_the_unpacker_ends_with_the_daemon(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    connection = UnixConnection(lab.socket, 60)
    connection.putrequest("POST", "/images/create?fromSrc=-&repo=left")
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders(bytes(512))
    wait_for(lambda: len(helpers_of(lab)) == 1)
    (unpacker,) = helpers_of(lab)
    wait_for(lambda: Path(f"/proc/{unpacker}/limits").read_text().count("1073741824") >= 2)
    lab.kill_daemon()
    wait_for(lambda: not Path(f"/proc/{unpacker}").exists())
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.getresponse()
    connection.close()


def wait_for(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
