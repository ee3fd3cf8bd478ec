"""The image `busybox`, from the machine's own statically linked busybox (package busybox-static).

It is like the official one: every applet is a hard link to the one program in /bin.  The same
program always gives the same image, bit for bit: owners, order and times are fixed.
"""

import hashlib
import io
import os
import struct
import subprocess
import tarfile
from datetime import UTC, datetime

from labkit.images.base.recipe import (
    PATH,
    BaseImageError,
    Progress,
    image_there,
    is_current,
    label_change,
)
from labkit.images.image import Image
from labkit.images.store import ImageStore

PROGRAM = "/bin/busybox"
RECIPE = 1  # counts up when the files below change, so that old images are made again

PT_INTERP = 3  # elf(5): the program header that names a dynamic linker

FOLDERS = {
    "bin": (0o755, 0),
    "dev": (0o755, 0),
    "etc": (0o755, 0),
    "home": (0o755, 65534),
    "proc": (0o755, 0),
    "root": (0o700, 0),
    "sys": (0o755, 0),
    "tmp": (0o1777, 0),
    "usr": (0o755, 0),
    "usr/bin": (0o755, 0),
    "usr/sbin": (0o755, 0),
    "var": (0o755, 0),
    "var/spool": (0o755, 0),
    "var/spool/mail": (0o755, 8),
    "var/www": (0o755, 33),
}
"""Mode, and owner as both user and group."""

ACCOUNTS = (
    ("root", 0, 0, "root", "/root", "/bin/sh"),
    ("daemon", 1, 1, "daemon", "/usr/sbin", "/bin/false"),
    ("bin", 2, 2, "bin", "/bin", "/bin/false"),
    ("sys", 3, 3, "sys", "/dev", "/bin/false"),
    ("sync", 4, 100, "sync", "/bin", "/bin/sync"),
    ("mail", 8, 8, "mail", "/var/spool/mail", "/bin/false"),
    ("www-data", 33, 33, "www-data", "/var/www", "/bin/false"),
    ("operator", 37, 37, "Operator", "/var", "/bin/false"),
    ("nobody", 65534, 65534, "nobody", "/home", "/bin/false"),
)

GROUPS = {
    "root": 0,
    "daemon": 1,
    "bin": 2,
    "sys": 3,
    "adm": 4,
    "tty": 5,
    "disk": 6,
    "mail": 8,
    "kmem": 9,
    "wheel": 10,
    "www-data": 33,
    "operator": 37,
    "utmp": 43,
    "staff": 50,
    "users": 100,
    "nobody": 65534,
}


def build_busybox(store: ImageStore, progress: Progress, *, refresh: bool = False) -> Image:
    """Make `busybox:latest`, unless it exists, made from the same program.

    Raises `BaseImageError` if the machine has no statically linked busybox.
    """
    program = _read_program()
    ingredients = f"busybox {RECIPE} {hashlib.sha256(program).hexdigest()}"
    there = image_there(store, "busybox")
    if there and is_current(there, ingredients) and not refresh:
        progress("busybox: it exists already")
        return there
    progress(f"busybox: from {PROGRAM}")
    modified_s = int(os.stat(PROGRAM).st_mtime)  # dpkg keeps the time of the package's build
    listed = subprocess.run([PROGRAM, "--list"], check=True, capture_output=True, text=True)
    archive = root_archive(program, listed.stdout.split(), modified_s)
    return store.import_tar(
        io.BytesIO(archive),
        "busybox:latest",
        ['CMD ["sh"]', PATH, label_change(ingredients)],
        f"labkit: {PROGRAM} of this machine",
        created=datetime.fromtimestamp(modified_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _read_program() -> bytes:
    try:
        with open(PROGRAM, "rb") as file:
            program = file.read()
    except FileNotFoundError:
        raise BaseImageError(
            f"there is no {PROGRAM} to make the busybox image from: apt-get install busybox-static"
        ) from None
    if not is_static(program):
        raise BaseImageError(
            f"{PROGRAM} needs shared libraries, which the image would lack: "
            "apt-get install busybox-static (it replaces the package busybox)"
        )
    return program


def is_static(program: bytes) -> bool:
    """Whether a 64-bit ELF program runs without a dynamic linker (elf(5))."""
    if program[:5] != b"\x7fELF\x02":
        return False
    order = "<" if program[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", program, 0x20)
    size, count = struct.unpack_from(order + "HH", program, 0x36)
    kinds = (struct.unpack_from(order + "I", program, table + size * i)[0] for i in range(count))
    return PT_INTERP not in kinds


def root_archive(program: bytes, applets: list[str], modified_s: int) -> bytes:
    """Return the root file system as a tar archive; it depends on the arguments alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (mode, owner) in sorted(FOLDERS.items()):
            archive.addfile(_member(name, tarfile.DIRTYPE, modified_s, mode, owner))
        binary = _member("bin/busybox", tarfile.REGTYPE, modified_s, 0o755)
        binary.size = len(program)
        archive.addfile(binary, io.BytesIO(program))
        for applet in sorted(set(applets) - {"busybox"}):
            link = _member(f"bin/{applet}", tarfile.LNKTYPE, modified_s, 0o755)
            link.linkname = "bin/busybox"
            archive.addfile(link)
        env = _member("usr/bin/env", tarfile.SYMTYPE, modified_s, 0o777)
        env.linkname = "../../bin/env"
        archive.addfile(env)
        for name, text in sorted(_files().items()):
            mode = 0o600 if name == "etc/shadow" else 0o644
            file = _member(name, tarfile.REGTYPE, modified_s, mode)
            file.size = len(text.encode())
            archive.addfile(file, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _member(name: str, kind: bytes, modified_s: int, mode: int, owner: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mtime = modified_s
    member.mode = mode
    member.uid = member.gid = owner
    return member


def _files() -> dict[str, str]:
    """Return the files under /etc.  The three empty ones are mount points for files."""
    passwd = (f"{n}:x:{u}:{g}:{c}:{home}:{shell}\n" for n, u, g, c, home, shell in ACCOUNTS)
    return {
        "etc/passwd": "".join(passwd),
        "etc/shadow": "".join(f"{account[0]}:*:10933:0:99999:7:::\n" for account in ACCOUNTS),
        "etc/group": "".join(f"{name}:x:{number}:\n" for name, number in GROUPS.items()),
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
        "etc/hostname": "",
        "etc/hosts": "",
        "etc/resolv.conf": "",
    }
