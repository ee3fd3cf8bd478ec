"""The numbers in the heads of tar archives, each with its limits."""

Pieces = list[tuple[int, int]]
"""Offset and size in bytes of the parts of a sparse file that are not holes."""

_DIGITS = {8: b"01234567", 10: b"0123456789"}


class BadArchiveError(Exception):
    """The archive is damaged, or asks for something that no image may ask."""


def number(field: bytes, what: str, most: int, *, lowest: int = 0, base: int = 8) -> int:
    """Read a number of tar: octal digits between blanks and NULs, or GNU's big-endian bytes.

    GNU's form begins with a byte of 0x80 (0xff: negative).  `base` 10 is for the text of PAX
    headers.
    """
    if base == 8 and field[:1] in (b"\x80", b"\xff"):
        found = int.from_bytes(field[1:], "big")
        found -= (1 << 8 * (len(field) - 1)) if field[0] == 0xFF else 0
    else:
        digits = field.partition(b"\0")[0].strip(b" ") if base == 8 else field
        if digits.strip(_DIGITS[base]) or len(digits) > 30 or (base == 10 and not digits):
            raise BadArchiveError(f"{field[:30]!r} is not a valid {what}")
        found = int(digits or b"0", base)
    if not lowest <= found <= most:
        raise BadArchiveError(f"{found} is not a valid {what}: it must be from {lowest} to {most}")
    return found


def decimal(text: str) -> int:
    """Read the whole seconds of a time in a PAX header; it may have a sign and a fraction."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = f"{whole}{fraction}"
    if not (digits.isascii() and digits.isdecimal()) or len(whole) > 18 or len(fraction) > 100:
        raise BadArchiveError(f"{text[:30]!r} is not a valid time")
    return int(whole or "0") * (-1 if text.startswith("-") else 1)


def sparse_map(numbers: list[str], most: int) -> Pieces:
    """Read the pieces of a sparse file: offsets and sizes in turn."""
    numbers = [] if numbers == [""] else numbers
    if len(numbers) % 2 or len(numbers) > 2 * most:
        raise BadArchiveError("the map of a sparse file is damaged, or too long")
    found = [
        number(text.encode("utf-8", "surrogateescape"), "piece of a sparse file", 1 << 62, base=10)
        for text in numbers
    ]
    return list(zip(found[::2], found[1::2], strict=True))


def check_pieces(pieces: Pieces, size: int, stored: int) -> None:
    """Check that the pieces are in order within the file, and match its stored size."""
    end = 0
    for offset, length in pieces:
        if offset < end or offset + length > size:
            raise BadArchiveError("the pieces of a sparse file overlap, or are beyond its end")
        end = offset + length
    if sum(length for _, length in pieces) != stored:
        raise BadArchiveError("the pieces of a sparse file do not match its stored size")
