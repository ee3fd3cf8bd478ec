"""`--chmod` of COPY and ADD: octal, or in letters as chmod(1) has it (`u=rwX,go=rX`, `+x`)."""

import re
from collections.abc import Callable

from labkit.errors import InvalidParameterError

Change = Callable[[int, bool], int]
"""From a file's mode, and whether it is a folder, to the mode that it gets."""

UMASK = 0o022
"""The bits that a change without `u`, `g` or `o` leaves alone, as in BuildKit."""

_ALL = 0o7777
_OCTAL = re.compile(r"[0-7]{1,5}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_OPERATION = re.compile(r"([-+=])([ugo](?![rwxXst])|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o4, "w": 0o2, "x": 0o1}


def change(text: str) -> Change:
    """Return the effect of a written mode; InvalidParameterError."""
    if _OCTAL.fullmatch(text) and int(text, 8) <= _ALL:
        return lambda _, is_folder: int(text, 8)
    written = text.split(",")
    clauses = [found.groups() for found in map(_CLAUSE.fullmatch, written) if found]
    if len(clauses) < len(written):
        raise InvalidParameterError(
            f"invalid chmod parameter: '{text}': it must be octal, such as 0644, "
            "or a mode of chmod(1), such as u=rwX,go=rX"
        )

    def changed(mode: int, is_folder: bool) -> int:
        for who, operations in clauses:
            mode = _changed(who, operations, mode, is_folder=is_folder)
        return mode

    return changed


def _changed(who: str, operations: str, mode: int, *, is_folder: bool) -> int:
    everybody = "ugo" if "a" in who or not who else who
    spared = 0 if who else UMASK
    for sign, letters in _OPERATION.findall(operations):
        bits = 0
        for one in everybody:
            bits |= _bits(one, letters, mode, is_folder=is_folder)
        bits &= ~spared
        if sign == "=":
            mode = mode & ~_owned(everybody) | bits
        else:
            mode = mode | bits if sign == "+" else mode & ~bits
    return mode


def _bits(one: str, letters: str, mode: int, *, is_folder: bool) -> int:
    """The bits that letters stand for, of the owner (`u`), the group or the others."""
    if letters in _SHIFTS:
        return (mode >> _SHIFTS[letters] & 0o7) << _SHIFTS[one]
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o1 if is_folder or mode & 0o111 else 0
        bits |= _BITS.get(letter, 0)
    bits <<= _SHIFTS[one]
    if "s" in letters:
        bits |= {"u": 0o4000, "g": 0o2000}.get(one, 0)
    return bits | (0o1000 if "t" in letters else 0)


def _owned(everybody: str) -> int:
    """Return the bits that `=` clears before it sets others."""
    special = {"u": 0o4000, "g": 0o2000, "o": 0o1000}
    owned = 0
    for one in everybody:
        owned |= 0o7 << _SHIFTS[one] | special[one]
    return owned
