"""A tar archive's header for one file, without `tarfile` if the plain format is enough.

Importing `tarfile` takes longer than a build whose every step is cached.  The plain header (ustar,
POSIX.1-1988) is sixteen fields; the library is used only for names that are long or not ASCII, huge
files and capabilities, which need more (PAX).
"""

BLOCK_BYTES = 512
NAME_BYTES = 100
NUMBER_MAX = 8**11 - 1
CAPABILITY_HEADER = "SCHILY.xattr.security.capability"

FILE, HARD_LINK, LINK, FOLDER, PIPE = b"0", b"1", b"2", b"5", b"6"
"""The format's types of members."""


class Member:
    """The facts about a file in an archive; root owns it."""

    def __init__(self, name: str, kind: bytes = FILE, *, size_bytes: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.mode = 0o644
        self.mtime_s = 0
        self.size_bytes = size_bytes
        self.target = ""
        """The target of a link or a hard link."""
        self.capability = ""
        """The extended attribute `security.capability`, as surrogateescape decodes its bytes."""


def header(member: Member) -> bytes:
    """Return the blocks before a member's content."""
    return _plain(member) if _is_plain(member) else _pax(member)


def _is_plain(member: Member) -> bool:
    return (
        not member.capability
        and member.name.isascii()
        and member.target.isascii()
        and len(_stored_name(member)) <= NAME_BYTES
        and len(member.target) <= NAME_BYTES
        and member.size_bytes <= NUMBER_MAX
        and 0 <= member.mtime_s <= NUMBER_MAX
    )


def _stored_name(member: Member) -> str:
    return f"{member.name}/" if member.kind == FOLDER else member.name


def _plain(member: Member) -> bytes:
    before = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        _stored_name(member).encode().ljust(NAME_BYTES, b"\0"),
        member.mode,
        0,  # root, and root's group
        0,
        member.size_bytes,
        member.mtime_s,
    )
    after = b"%b%bustar\x0000%64b%07o\0%07o\0" % (
        member.kind,
        member.target.encode().ljust(NAME_BYTES, b"\0"),
        bytes(64),  # no names of users and groups
        0,  # no device's numbers
        0,
    )
    # The checksum is the sum of all bytes, with eight spaces in its own place.
    checksum = sum(before) + sum(b" " * 8) + sum(after)
    return (b"%b%06o\0 %b" % (before, checksum, after)).ljust(BLOCK_BYTES, b"\0")


def _pax(member: Member) -> bytes:
    import tarfile  # noqa: PLC0415 see above

    made = tarfile.TarInfo(member.name)
    made.type, made.mode, made.mtime = member.kind, member.mode, member.mtime_s
    made.size, made.linkname = member.size_bytes, member.target
    if member.capability:
        made.pax_headers = {CAPABILITY_HEADER: member.capability}
    return made.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
