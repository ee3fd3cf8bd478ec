"""Whole numbers in foreign text: of bounded length, in ASCII, within a range.

Python's own `int` raises for more than 4,300 digits, reads `1_0` and digits of every script, and
has no bound; the numbers of the kernel and the API have 64 bits.
"""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_LONGEST = 20
"""The length of the longest number of 64 bits, with its sign."""


def whole(text: str, least: int = INT64_MIN, most: int = INT64_MAX) -> int | None:
    """Return the number in the text, if it is one from `least` to `most`; None if not."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if len(text) > _LONGEST or not (digits.isascii() and digits.isdigit()):
        return None
    number = int(text)
    return number if least <= number <= most else None
