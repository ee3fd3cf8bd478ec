"""The abilities of the terminal."""

import os

DEFAULT_WIDTH = 80


def width(fd: int = 1, default: int = DEFAULT_WIDTH) -> int:
    """Return the columns of the terminal at `fd`; `COLUMNS` if set, `default` without one."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(fd).columns or default
    except OSError:
        return default


def has_colours(fd: int) -> bool:
    """Whether to use colours: on a terminal, without `NO_COLOR`, and not on a dumb one."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
