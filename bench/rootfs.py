"""The root that every peer runs: busybox and a few folders, the same files for all."""

import io
import os
import re
import tarfile
from collections.abc import Sequence

from bench.peer import MissingPeerError, command

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "sleep", "true")
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp")


def write_tar(path: str, programs: Sequence[str] = ()) -> str:
    """Write the root as a tar archive, with more programs of this machine; return the path."""
    if not os.path.exists(BUSYBOX):
        raise MissingPeerError("busybox is not installed: apt-get install busybox-static")
    with tarfile.open(path, "w") as archive:
        for name in FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        archive.add(BUSYBOX, "bin/busybox", filter=_as_root)
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        passwd = b"root:x:0:0:root:/root:/bin/sh\n"
        file = tarfile.TarInfo("etc/passwd")
        file.size = len(passwd)
        archive.addfile(file, io.BytesIO(passwd))
        for name in sorted({each for program in programs for each in _with_libraries(program)}):
            archive.add(os.path.realpath(name), name.lstrip("/"), filter=_as_root)
    return path


def _with_libraries(program: str) -> list[str]:
    """Return a program's file and those of its libraries (ldd(1))."""
    return [program, *re.findall(r"(/\S+) \(0x", command(["ldd", program]))]


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def unpack(tar: str, folder: str) -> None:
    """Unpack the root into a folder."""
    with tarfile.open(tar) as archive:
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)  # our own archive: nothing to filter
