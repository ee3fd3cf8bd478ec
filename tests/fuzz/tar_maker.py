"""Tar archives that are odd, damaged or hostile, made up from a seed."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from random import Random

import zstandard

BLOCK = 512
NUMBERS = (
    *("0", "1", "7", "511", "512", "513", "4096", "-1", "-512", "+5", " 12", "0x10", "1e3", "inf"),
    *("nan", "", "abc", "9" * 20, "9" * 5000, "1.5", "4294967295", "4294967296", "1099511627776"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "٣", "1_0"),
)
TYPES = (*b"0001123456757SLKxgXVMN", 0, 255)
NAMES = (
    *("a", "b", "a/b", "a/b/c", "dir/", "/abs", "./x", ".", "", "/", "../up", "a/../../up", "a//b"),
    *(".wh.a", ".wh..wh..opq", "a/.wh..wh..opq", ".wh.", ".wh...", "a/.wh.b", ".wh..wh.plnk"),
    *("ä" * 60, "\udcff\udc80", "n" * 255, "n" * 256, "d/" * 1000 + "x", "d/" * 2100, "x" * 5000),
    *("link", "link/x", "Dockerfile", ".dockerignore", "etc/passwd", "dev/null", "new\nline"),
)
SIMPLE_NAMES = ("a", "b", "d", "d/x", "d/e/f", "d/y", "link", "g/.wh.x", "h/.wh..wh..opq", "./z")
KEYS = (
    *("path", "linkpath", "size", "uid", "gid", "mtime", "atime", "uname", "hdrcharset", "comment"),
    *("SCHILY.xattr.user.a", "SCHILY.xattr.security.capability", "SCHILY.xattr.trusted.overlay.x"),
    *(
        "SCHILY.xattr.",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.system.posix_acl_access",
    ),
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize"),
    *("GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.numblocks", "GNU.sparse.offset"),
    *("GNU.sparse.numbytes", "=", "", "a\0b"),
)


def field(random: Random, width: int, value: int) -> bytes:
    """A number of a head, mostly as it should be."""
    kind = random.random()
    if kind < 0.98:
        return b"%0*o\0" % (width - 1, max(0, value) % 8 ** (width - 1))
    if kind < 0.987:
        return random.choice((b"\x80", b"\xff", b"\xc0")) + random.randbytes(width - 1)
    if kind < 0.995:
        return random.choice(NUMBERS).encode()[:width].ljust(width, random.choice((b" ", b"\0")))
    return random.choice((random.randbytes(width), b"\xff" * width, b"7" * width, b"\0" * width))


def head(random: Random, kind: int, name: str, size: int, link: str = "") -> bytes:
    block = bytearray(BLOCK)
    block[0:100] = encoded(name)[:100].ljust(100, b"\0")
    numbers = ((100, 8, 0o755), (108, 8, 0), (116, 8, 0), (124, 12, size), (136, 12, 10**9))
    for at, width, value in numbers:
        block[at : at + width] = field(random, width, value)
    block[156] = kind
    block[157:257] = encoded(link)[:100].ljust(100, b"\0")
    block[257:265] = random.choice((b"ustar\x0000", b"ustar  \0", b"\0" * 8, b"ustar\x0000"))
    block[329:345] = field(random, 8, 1) + field(random, 8, 3)
    if random.random() < 0.1:
        block[345:500] = random.randbytes(155)
    if kind == ord("S"):
        for at in range(386, 482, 12):
            block[at : at + 12] = field(random, 12, random.choice((0, 0, 512, 1024)))
        block[482] = random.choice((0, 0, 0, 1, 255))
        block[483:495] = field(random, 12, random.choice((size, 1 << 30, 0)))
    return with_checksum(block)


def with_checksum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def record(key: bytes, value: bytes, random: Random) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    if random.random() < 0.03:
        length += random.choice((-1, 1, 10**6, -length))
    return b"%d" % length + rest


def pax(random: Random, kind: int) -> bytes:
    records = []
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        key = encoded(random.choice(KEYS))
        value = encoded(random.choice((random.choice(NUMBERS), a_name(random))))
        if random.random() < 0.6:  # what makes sense, so that more than the first head is read
            key = random.choice((b"mtime", b"SCHILY.xattr.user.a", b"comment", b"path"))
            value = b"123.5" if key == b"mtime" else b"some/name"
        if key == b"GNU.sparse.map":
            value = random.choice((b"0,5", b"0,5,4,9", b"1,2,3", b"0,9" * 50, value))
        records.append(record(key, value, random) * random.choice((1, 1, 1, 1, 40)))
    content = b"".join(records)
    return head(random, kind, "pax", len(content)) + padded(content)


def long_name(random: Random, kind: int) -> bytes:
    content = encoded(a_name(random)) + random.choice((b"\0", b""))
    return head(random, kind, "././@LongLink", len(content)) + padded(content)


def a_name(random: Random) -> str:
    return random.choice(NAMES if random.random() < 0.15 else SIMPLE_NAMES)


def sparse_map(random: Random) -> bytes:
    numbers = [random.choice((0, 1, 2, 5, 10**6, 10**20)) for _ in range(random.choice((1, 3, 5)))]
    return padded("".join(f"{number}\n" for number in numbers).encode())


def member(random: Random) -> bytes:
    kind = random.choice(TYPES if random.random() < 0.4 else b"005512")
    if kind in b"xgX":
        return pax(random, kind)
    if kind in b"LK":
        return long_name(random, kind)
    content = random.choice((b"", b"x", random.randbytes(700), bytes(5000), sparse_map(random)))
    name, link = a_name(random), a_name(random)
    said = len(content) if random.random() < 0.97 else random.choice((0, 1, 600, 10**9, 8**11 - 1))
    return head(random, kind, name, said, link) + padded(content)


def plain_file(name: str, content: bytes) -> bytes:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    return made.tobuf(tarfile.PAX_FORMAT) + padded(content)


def bomb(random: Random) -> bytes:
    """Few bytes that stand for much, once they are compressed."""
    return random.choice(
        (
            lambda: head(random, ord("0"), "zeros", 64 << 20) + bytes(64 << 20),
            lambda: b"".join(pax(random, ord("g")) for _ in range(3000)),
            lambda: b"".join(plain_file(f"f{number}", b"") for number in range(5000)),
            lambda: plain_file("d/" * 1500 + "x", b"") * 3,
            lambda: b"".join(plain_file(f".wh.{number}", b"") for number in range(3000)),
        )
    )()


def archive(random: Random, first: bytes = b"") -> bytes:
    """A plain archive; `first` is at its beginning."""
    parts = [first]
    for _ in range(random.choice((1, 2, 3, 5, 10, 20))):
        part = member(random)
        parts.append(part * random.choice((1, 1, 1, 1, 2)))
    if random.random() < 0.02:
        parts.append(bomb(random))
    data = bytearray(b"".join(parts) + bytes(random.choice((0, BLOCK, 2 * BLOCK, 20 * BLOCK, 100))))
    start = len(first)
    for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 5))):
        if len(data) > start:
            data[random.randrange(start, len(data))] = random.randrange(256)
    if random.random() < 0.1:
        del data[random.randrange(start, len(data) + 1) :]
    return bytes(data)


COMPRESSORS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data,
    lambda data: data,
    lambda data: gzip.compress(data, 1),
    lambda data: bz2.compress(data, 1),
    lambda data: lzma.compress(data, preset=0),
    lambda data: zstandard.compress(data, 1),
    lambda data: zlib.compress(data, 1),
)


def compressed(random: Random, data: bytes) -> bytes:
    """The same, compressed or not, and sometimes damaged in that form."""
    made = bytearray(random.choice(COMPRESSORS)(data))
    if made and random.random() < 0.1:
        made[random.randrange(len(made))] = random.randrange(256)
    if made and random.random() < 0.05:
        del made[random.randrange(len(made)) :]
    return bytes(made)
