"""Reading a tar archive from an untrusted source: every head is checked before it is used.

The formats are Docker's: v7, ustar, GNU (long names, sparse files) and PAX (POSIX.1-2008, pax; GNU
tar's manual, "Storing Sparse Files").  Each value of a head is compared with limits, and with the
bytes that follow: an archive that is damaged, cut short or hostile raises BadArchiveError, and no
other error.  Memory stays small, however large the archive is.
"""

import tarfile
from typing import BinaryIO

from labkit.images.archives.numbers import (
    BadArchiveError,
    Pieces,
    check_pieces,
    decimal,
    number,
    sparse_map,
)

BLOCK = tarfile.BLOCKSIZE
CHUNK_BYTES = 1 << 18
HEAD_MAX_BYTES = 1 << 20
"""The most that may precede one member: long names and extended attributes (as in Go's reader)."""
PATH_MAX_BYTES = 4095
"""PATH_MAX of Linux, without its NUL."""
FILE_MAX_BYTES = 16 << 40
"""The largest file that ext4 can have."""
OWNER_MAX = (1 << 32) - 2
"""The number after it means "leave it as it is" (chown(2))."""
DEVICE_MAX = 8**7 - 1
"""The largest number of seven octal digits; Linux has smaller numbers."""
SPARSE_PIECES_MAX = 200_000
SPARSE_MAP_MAX_BYTES = 8 << 20
XATTR = "SCHILY.xattr."
GNU_SPARSE = "GNU.sparse."

_HEADERS = (b"x", b"X", b"g", b"L", b"K")
"""Types of members that describe the next one, or (g) all that follow."""
_WITHOUT_CONTENT = frozenset(
    {
        *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE),
        *(tarfile.DIRTYPE, tarfile.FIFOTYPE),
    }
)


class Member(tarfile.TarInfo):
    """One member's head."""

    __slots__ = ("pieces",)

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.pieces: Pieces | None = None
        """The parts of a sparse file that are not holes; `size` is the whole file's."""

    def issparse(self) -> bool:
        """Whether the file has holes."""
        return self.pieces is not None

    @property
    def stored(self) -> Pieces:
        """Offsets and sizes, within the file, of the bytes that follow the head."""
        return [(0, self.size)] if self.pieces is None else self.pieces


class ArchiveReader:
    """Returns an archive's members one by one, and the content of the current one."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        size_bytes: int | None = None,
    ) -> None:
        """`size_bytes`: the size of the stream, if it is a file with seek()."""
        self._stream = stream
        self._size_bytes = size_bytes
        self._buffer = b""
        self._position = 0
        """How much of the buffer has been read."""
        self.offset = 0
        """How much of the archive has been read."""
        self._left = 0
        """How much of the member's content has not been read."""
        self._padding = 0

    def next(self) -> Member | None:
        """Return the next member, None at the archive's end.

        `read` then returns its content; of a sparse file, the pieces that are not holes.
        """
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        names: dict[str, str] = {}
        said: dict[str, str] = {}
        head_bytes = 0
        while True:
            block = self._block()
            if block is None:
                if head_bytes:
                    raise BadArchiveError("the archive ends in the middle of a member's head")
                return None
            kind = block[156:157]
            if kind not in _HEADERS:
                return self._member(block, kind, names, said)
            size = number(block[124:136], "size", FILE_MAX_BYTES)
            head_bytes += 0 if kind == b"g" else BLOCK + size
            if max(size, head_bytes - BLOCK) > HEAD_MAX_BYTES:
                raise BadArchiveError(
                    f"a header has {max(size, head_bytes - BLOCK)} bytes; names and attributes of "
                    f"one file may have at most {HEAD_MAX_BYTES}"
                )
            if kind == b"g":  # as in Docker: a global header changes no file
                self._skip(_padded(size))
                continue
            content = self._take(size)
            self._skip(_padded(size) - size)
            if kind in (b"L", b"K"):
                names["path" if kind == b"L" else "linkpath"] = _text(content)
            else:
                said = _records(content)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes of the member's content, none at its end."""
        size = min(size, self._left)
        if not size:
            return b""
        if self._position == len(self._buffer) and not self._fill():
            raise _cut_short()
        end = min(self._position + size, len(self._buffer))
        piece = self._buffer[self._position : end]
        self._position = end
        self.offset += len(piece)
        self._left -= len(piece)
        return piece

    # Heads

    def _block(self) -> bytes | None:
        """Return the next head, its checksum checked; None for a block of zeros, or the end."""
        if self._position == len(self._buffer) and not self._fill():
            if not self.offset:
                raise BadArchiveError("the archive is empty")
            return None
        block = self._take(BLOCK)
        if not block.strip(b"\0"):
            return None
        if not is_head(block):
            raise BadArchiveError(
                "this is not a tar archive"
                if self.offset == BLOCK
                else "the tar archive is damaged: the checksum of a head is wrong"
            )
        return block

    def _member(
        self, block: bytes, kind: bytes, names: dict[str, str], said: dict[str, str]
    ) -> Member:
        member = Member(said.get("path") or names.get("path") or _name(block))
        member.linkname = said.get("linkpath") or names.get("linkpath") or _text(block[157:257])
        try:
            self._fill_in(member, block, kind, said)
        except BadArchiveError as error:
            raise BadArchiveError(f"{_short(member.name)}: {error}") from None
        if self._size_bytes is not None and self._left > self._size_bytes - self.offset:
            missing = self._left - (self._size_bytes - self.offset)
            raise BadArchiveError(f"{_short(member.name)} ends {missing} bytes too early")
        return member

    def _fill_in(self, member: Member, block: bytes, kind: bytes, said: dict[str, str]) -> None:
        """Set all fields of the head except the names."""
        member.size = stored = _number_said(said, "size", block[124:136], FILE_MAX_BYTES)
        member.uid = _number_said(said, "uid", block[108:116], 1 << 62)
        member.gid = _number_said(said, "gid", block[116:124], 1 << 62)
        if max(member.uid, member.gid) > OWNER_MAX:
            raise BadArchiveError(
                f"the owner {member.uid}:{member.gid} is invalid: ids are at most {OWNER_MAX}"
            )
        _from_block(member, block, kind)
        member.pax_headers = {
            key: value for key, value in said.items() if key == "mtime" or key.startswith(XATTR)
        }
        if "mtime" in said:
            member.mtime = decimal(said["mtime"])
        _settle_kind(member)
        if kind in _WITHOUT_CONTENT or member.isdir():
            member.size = stored = 0
        self._left, self._padding = stored, _padded(stored) - stored
        member.pieces = self._pieces(block, member, said)
        _check_names(member)
        member.offset_data = self.offset

    def _pieces(self, block: bytes, member: Member, said: dict[str, str]) -> Pieces | None:
        """Return the parts of a sparse file that are not holes; set its name and size, too."""
        if member.type == tarfile.GNUTYPE_SPARSE:
            pieces = self._old_pieces(block)
            member.size = number(block[483:495], "size of a sparse file", FILE_MAX_BYTES)
        elif any(key.startswith(GNU_SPARSE) for key in said) and member.isreg():
            size = said.get(f"{GNU_SPARSE}realsize") or said.get(f"{GNU_SPARSE}size", "")
            member.name = said.get(f"{GNU_SPARSE}name") or member.name
            if said.get(f"{GNU_SPARSE}major") == "1":
                pieces = self._pieces_before_content()
            else:
                pieces = sparse_map(said.get(f"{GNU_SPARSE}map", "").split(","), SPARSE_PIECES_MAX)
            member.size = number(size.encode(), "size of a sparse file", FILE_MAX_BYTES, base=10)
        else:
            return None
        check_pieces(pieces, member.size, self._left)
        return pieces

    def _old_pieces(self, block: bytes) -> Pieces:
        """Read GNU's first format: four pieces in the head, and 21 in each block that follows."""
        fields = [block[at : at + 12] for at in range(386, 482, 12)]
        goes_on = block[482]
        while goes_on:
            block = self._take(BLOCK)
            fields += [block[at : at + 12] for at in range(0, 504, 12)]
            goes_on = block[504]
            if len(fields) > 2 * SPARSE_PIECES_MAX:
                raise BadArchiveError(f"a sparse file has more than {SPARSE_PIECES_MAX} pieces")
        numbers = [number(field, "piece of a sparse file", FILE_MAX_BYTES) for field in fields]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [(offset, size) for offset, size in pairs if offset or size]

    def _pieces_before_content(self) -> Pieces:
        """Read PAX format 1.0: decimal numbers, a line each, in whole blocks before the content."""
        text, lines, wanted = bytearray(), 0, 1
        while lines < wanted:
            if self._left < BLOCK:
                raise BadArchiveError("the map of a sparse file is cut short")
            self._left -= BLOCK
            more = self._take(BLOCK)
            text += more
            lines += more.count(b"\n")
            if wanted == 1 and lines:  # the first number says how many pairs follow
                first = bytes(text).partition(b"\n")[0]
                wanted += 2 * number(first, "count of pieces", SPARSE_PIECES_MAX, base=10)
            if len(text) > SPARSE_MAP_MAX_BYTES:
                raise BadArchiveError("the map of a sparse file is too long")
        return sparse_map(_decoded(bytes(text)).split("\n")[1:wanted], SPARSE_PIECES_MAX)

    # Bytes

    def _take(self, size: int) -> bytes:
        """Return exactly so many bytes, few enough for the memory."""
        while len(self._buffer) - self._position < size:
            if not self._fill():
                raise _cut_short()
        end = self._position + size
        taken = self._buffer[self._position : end]
        self._position = end
        self.offset += size
        return taken

    def _skip(self, size: int) -> None:
        here = min(size, len(self._buffer) - self._position)
        self._position += here
        self.offset += here
        size -= here
        if size and self._size_bytes is not None:
            if size > self._size_bytes - self.offset:
                raise _cut_short()
            self.offset += size
            self._stream.seek(self.offset)
            return
        while size:
            if not self._fill():
                raise _cut_short()
            here = min(size, len(self._buffer))
            self._position = here
            self.offset += here
            size -= here

    def _fill(self) -> bool:
        """Append more to the unread part of the buffer; False at the stream's end."""
        more = self._stream.read(CHUNK_BYTES)
        self._buffer = self._buffer[self._position :] + more
        self._position = 0
        return bool(more)


def is_head(block: bytes) -> bool:
    """Whether a block is a member's head: its checksum is right."""
    if len(block) < BLOCK:
        return False
    try:
        said = number(block[148:156], "checksum", 1 << 20)
    except BadArchiveError:
        return False
    found = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if said == found:
        return True
    high = sum(1 for byte in block[:148] + block[156:] if byte > 127)
    return said == found - 256 * high  # old programs added signed bytes


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _cut_short() -> BadArchiveError:
    return BadArchiveError("the tar archive is cut short")


def _text(field: bytes) -> str:
    """Decode a field of a head, which ends with a NUL or is full."""
    return _decoded(field.partition(b"\0")[0])


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _short(name: str) -> str:
    return repr(name if len(name) <= 200 else f"{name[:200]}…")


def _name(block: bytes) -> str:
    """Read the name in a head itself; POSIX has a second field for its beginning."""
    name = _text(block[:100])
    if block[257:263] != b"ustar\0":  # GNU's format has other fields here
        return name
    prefix = _text(block[345 : 476 if block[508:512] == b"tar\0" else 500])
    return f"{prefix}/{name}" if prefix else name


def _from_block(member: Member, block: bytes, kind: bytes) -> None:
    """Set the fields that no PAX header overrides, and the time, which one may."""
    member.type = kind
    member.mode = number(block[100:108], "mode", (1 << 63) - 1) & 0o7777
    member.mtime = number(block[136:148], "time", 1 << 62, lowest=-(1 << 62))
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        member.devmajor = number(block[329:337], "device number", DEVICE_MAX)
        member.devminor = number(block[337:345], "device number", DEVICE_MAX)


def _number_said(said: dict[str, str], key: str, field: bytes, most: int) -> int:
    """Read a number from the PAX header, or else from the head."""
    if key in said:
        return number(said[key].encode("utf-8", "surrogateescape"), key, most, base=10)
    return number(field, key, most)


def _settle_kind(member: Member) -> None:
    """Set the type of a folder, for which the oldest format has none."""
    if member.type == tarfile.AREGTYPE and member.name.endswith("/"):
        member.type = tarfile.DIRTYPE
    if member.isdir():
        member.name = member.name.rstrip("/")


def _check_names(member: Member) -> None:
    for name in (member.name, member.linkname):
        if "\0" in name:
            raise BadArchiveError(f"the name {_short(name)} has a null byte")
        if len(name.encode("utf-8", "surrogateescape")) > PATH_MAX_BYTES:
            raise BadArchiveError(f"the name {_short(name)} is longer than {PATH_MAX_BYTES} bytes")


def _records(content: bytes) -> dict[str, str]:
    """Read the records of a PAX header: `LENGTH KEY=VALUE\\n`, LENGTH counting all of it.

    An empty value removes an earlier one; an extended attribute may be empty.
    """
    said: dict[str, str] = {}
    old_map: list[str] = []
    at = 0
    while at < len(content) and content[at : at + 1] != b"\0":
        length_field, space, _ = content[at : at + 9].partition(b" ")
        length = number(length_field, "length of a PAX record", len(content) - at, base=10)
        record = content[at + len(length_field) + 1 : at + length]
        key_field, equals, value = record[:-1].partition(b"=")
        if not (space and equals and key_field and record.endswith(b"\n")):
            raise BadArchiveError("a PAX header is damaged")
        at += length
        key = _decoded(key_field)
        if key in (f"{GNU_SPARSE}offset", f"{GNU_SPARSE}numbytes"):  # format 0.0 repeats them
            old_map.append(_decoded(value))
        elif value or key.startswith(XATTR):
            said[key] = _decoded(value)
        else:
            said.pop(key, None)
    if old_map:
        said[f"{GNU_SPARSE}map"] = ",".join(old_map)
    return said
