"""The initramfs: the first files the guest sees."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from labkit.microvm.cpio import Archive
from labkit.microvm.initramfs import static_busybox
from tests.machine.kernels import Kernel, modules_in_order, read_module

GUEST = Path(__file__).parent / "guest"
FOLDERS = ("bin", "dev", "host", "job", "layer", "modules", "proc", "root", "sys")


def build(path: str, kernel: Kernel, command: str, environment: Mapping[str, str]) -> None:
    """Write the guest's initramfs to `path`: the tools it boots with, and the job it is given.

    Raises `NotFoundError` when busybox-static is not installed.
    """
    archive = Archive()
    for folder in FOLDERS:
        archive.folder(folder)
    archive.file("bin/busybox", static_busybox(), 0o755)
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    archive.file("job/job", (GUEST / "job").read_bytes(), 0o755)
    archive.file("job/command", command.encode() + b"\n")
    archive.file("job/environment", _exports(environment).encode())
    archive.file("job/folder", os.getcwd().encode() + b"\n")
    archive.file("job/modules", f"{kernel.modules}\n".encode())
    modules = modules_in_order(kernel)
    for number, module in enumerate(modules):
        # Read, it is no longer compressed, and insmod goes by the name.
        name = module.name.partition(".")[0]
        archive.file(f"modules/{number:02}-{name}.ko", read_module(module))
    archive.write(path)


def _exports(environment: Mapping[str, str]) -> str:
    """The environment as lines for a shell; names a shell cannot hold are left out."""
    lines = [
        f"export {name}={shlex.quote(value)}\n"
        for name, value in environment.items()
        if name.isidentifier() and name.isascii()
    ]
    return "".join(lines)
