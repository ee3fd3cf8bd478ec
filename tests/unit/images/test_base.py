"""The base images' recipes, as far as they are plain data."""

import io
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

from labkit.images.base import busybox
from labkit.images.base.bootstrap import System, command, sources_from

BOOKWORM = System("debian", "bookworm", is_this_machine=True)

LISTED = """\
http://mirror.example/debian/ bookworm bookworm main Debian
http://mirror.example/debian/ bookworm bookworm contrib Debian
http://mirror.example/debian/ bookworm bookworm main Debian
http://mirror.example/debian/ bookworm-updates bookworm-updates main Debian
http://mirror.example/debian/ bookworm-backports bookworm-backports main Debian
http://security.example/debian-security/ stable-security bookworm-security main Debian
https://vendor.example/apt/ bookworm bookworm stable Vendor
http://mirror.example/debian/ trixie trixie main Debian
"""


def test_only_the_distributions_own_sources_are_taken() -> None:
    assert list(sources_from(LISTED, BOOKWORM)) == [
        "deb http://mirror.example/debian/ bookworm main contrib",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://security.example/debian-security/ stable-security main",
    ]
    assert list(sources_from(LISTED, System("ubuntu", "noble", is_this_machine=True))) == []


def test_a_list_of_mirrors_is_read(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("https://first.example/debian\nhttps://second.example/debian\n")
    listed = f"mirror+file:{mirrors} bookworm bookworm main \n"
    assert list(sources_from(listed, BOOKWORM)) == [
        "deb https://first.example/debian bookworm main"
    ]


def test_the_sources_end_the_command() -> None:
    arguments = command(BOOKWORM, ("deb a b c",))
    assert arguments[0] == "mmdebstrap"
    assert arguments[-3:] == ["bookworm", "-", "deb a b c"]


def elf(*kinds: int) -> bytes:
    """A 64-bit little-endian ELF header with program headers of these kinds."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 0x20, 64)
    struct.pack_into("<HH", header, 0x36, 56, len(kinds))
    return bytes(header) + b"".join(struct.pack("<I", kind) + bytes(52) for kind in kinds)


def test_a_program_that_needs_a_dynamic_linker_is_told_from_one_that_does_not() -> None:
    assert busybox.is_static(elf(1, 1, 4))
    assert not busybox.is_static(elf(6, 3, 1))
    assert not busybox.is_static(b"#!/bin/sh\n")
    assert not busybox.is_static(Path("/bin/ls").read_bytes())


def test_the_busybox_archive_is_the_same_every_time_and_has_the_applets_as_links() -> None:
    first = busybox.root_archive(b"program", ["ls", "sh", "busybox"], 1_000_000)
    assert first == busybox.root_archive(b"program", ["sh", "busybox", "ls"], 1_000_000)
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        members = {member.name: member for member in archive}
        passwd = archive.extractfile("etc/passwd")
        assert passwd
        assert b"nobody:x:65534:65534:nobody:/home:/bin/false\n" in passwd.read()
    assert members["bin/sh"].islnk()
    assert members["bin/sh"].linkname == "bin/busybox"
    assert members["usr/bin/env"].linkname == "../../bin/env"
    assert members["tmp"].mode == 0o1777
    assert {member.mtime for member in members.values()} == {1_000_000}


def test_an_unknown_base_image_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit.images.base", "nosuch"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such base image: nosuch" in done.stderr
