"""Trees that are deeper than Python's stack, and than a path can be."""

import os
from pathlib import Path


def nest(top: str | Path, depth: int, *, name: str = "d", content: bytes = b"") -> None:
    """Make `top` and `depth` nested folders; the last one gets a file, if there is content."""
    os.mkdir(top)
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    if content:
        file = os.open("file", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
        os.write(file, content)
        os.close(file)
    os.close(fd)
