"""The initramfs: the first files the guest sees, in cpio's "newc" format.

The format is the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`: for each
file a header of thirteen eight-digit hexadecimal numbers, its name, its bytes, padded to four.
"""

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from tests.machine.errors import MachineError
from tests.machine.kernels import Kernel, modules_in_order, read_module

GUEST = Path(__file__).parent / "guest"
FOLDERS = ("bin", "dev", "host", "job", "layer", "modules", "proc", "root", "sys")


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


def build(path: str, kernel: Kernel, command: str, environment: Mapping[str, str]) -> None:
    """Write the guest's initramfs to `path`: the tools it boots with, and the job it is given.

    Raises `MachineError` when busybox-static is not installed.
    """
    archive = Archive()
    for folder in FOLDERS:
        archive.folder(folder)
    archive.file("bin/busybox", _busybox(), 0o755)
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    archive.file("job/job", (GUEST / "job").read_bytes(), 0o755)
    archive.file("job/command", command.encode() + b"\n")
    archive.file("job/environment", _exports(environment).encode())
    archive.file("job/folder", os.getcwd().encode() + b"\n")
    modules = modules_in_order(kernel)
    for number, module in enumerate(modules):
        archive.file(f"modules/{number:02}-{module.name}", read_module(module))
    archive.write(path)


def _busybox() -> bytes:
    content = Path("/bin/busybox").read_bytes() if Path("/bin/busybox").exists() else b""
    # A dynamic busybox names its loader in the ELF file; in the initramfs there is none.
    if not content or b"/ld-linux" in content[:4096]:
        raise MachineError("There is no static busybox: apt-get install busybox-static")
    return content


def _exports(environment: Mapping[str, str]) -> str:
    """The environment as lines for a shell; names a shell cannot hold are left out."""
    lines = [
        f"export {name}={shlex.quote(value)}\n"
        for name, value in environment.items()
        if name.isidentifier() and name.isascii()
    ]
    return "".join(lines)
