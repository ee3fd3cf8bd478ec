"""The guest's file system: busybox and one script, which the kernel starts as process 1."""

from pathlib import Path

from labkit.errors import NotFoundError
from labkit.microvm.cpio import Archive

INIT = Path(__file__).parent / "guest" / "init"
BUSYBOX = "/bin/busybox"
FOLDERS = ("bin", "dev", "proc", "sys")


def static_busybox(path: str = BUSYBOX) -> bytes:
    """Return this machine's static busybox; NotFoundError if there is none."""
    content = Path(path).read_bytes() if Path(path).exists() else b""
    # A dynamic program names its loader in the ELF file; an initramfs has no loader.
    if not content or b"/ld-linux" in content[:4096]:
        raise NotFoundError(f"there is no static {path}: apt-get install busybox-static")
    return content


def build(path: str) -> None:
    """Write the initramfs to `path`."""
    archive = Archive()
    for folder in FOLDERS:
        archive.folder(folder)
    archive.file("bin/busybox", static_busybox(), 0o755)
    archive.link("bin/sh", "busybox")
    archive.file("init", INIT.read_bytes(), 0o755)
    archive.write(path)
