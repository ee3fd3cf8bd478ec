"""What the terminal can show."""

import os

DEFAULT_WIDTH = 80


def width(fd: int = 1, default: int = DEFAULT_WIDTH) -> int:
    """Columns of the terminal at `fd`; `COLUMNS` if that is set, `default` if it is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(fd).columns or default
    except OSError:
        return default


def has_colours(fd: int) -> bool:
    """Whether colours reach a human being: a terminal, and neither `NO_COLOR` nor a dumb one."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
