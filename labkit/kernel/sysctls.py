"""Kernel parameters: the files below /proc/sys (proc_sys(5))."""

NET = "/proc/sys/net"


def read(path: str) -> str:
    """Return the value of a parameter, without the end of its line; OSError."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def write(path: str, value: str) -> None:
    """Set a parameter, unless it has the value already: it may be read-only.  OSError."""
    if read(path) != value:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
