"""An archive in cpio's "newc" format, of which an initramfs is made.

The format is the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`: for each
file a header of thirteen eight-digit hexadecimal numbers, its name, its bytes, padded to four.
"""

import stat


class Archive:
    """Collects files and writes them as one cpio archive."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def folder(self, name: str) -> None:
        """Add an empty folder."""
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._entry(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def write(self, path: str) -> None:
        """Write the archive, with the entry that ends it."""
        self._entry("TRAILER!!!", 0, b"")
        with open(path, "wb") as out:
            out.writelines(self._parts)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        numbers = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(header + encoded), _padded(content)]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
