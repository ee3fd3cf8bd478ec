"""Text of others on this terminal: names, labels and messages that a container or image chose.

A terminal obeys some characters: they clear the screen, change its title, or show a line in another
order than it has.  So lists and messages show `?` in their place.  The output of a container itself
is written as it is, for its programs may draw.
"""

import sys

_OBEYED = (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Control characters, C0 and C1, and those that change the direction of text (Unicode, UAX 9)."""
_IN_CELLS = dict.fromkeys(_OBEYED, "?")
_IN_LINES = {number: mark for number, mark in _IN_CELLS.items() if chr(number) not in "\n\t"}


def cell(text: str) -> str:
    """Return the text of one cell of a table, in one line."""
    return text.translate(_IN_CELLS)


def lines(text: str) -> str:
    """Return a text of several lines."""
    return text.translate(_IN_LINES)


def shown(text: str) -> str:
    """Return lines for standard output: as they are, if a program reads them."""
    return lines(text) if sys.stdout.isatty() else text
