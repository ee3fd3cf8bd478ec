"""A virtual machine's boot, recorded once: `python -m labkit.course.demos.boot_record`.

The demo plays the record, so that it needs no QEMU and takes the same time in every room.
"""

import json
import os
import subprocess
import tempfile
import time
from importlib import resources
from typing import IO, NamedTuple, cast

import psutil

from labkit.microvm import initramfs, kvm, qemu
from labkit.microvm.kernels import find_kernel

MEMORY_MIB = 128
READY = "labkit: first process"
FILE = "boot.json"
MOST_LETTERS = 90


class Record(NamedTuple):
    """The lines of the console, each with its second since QEMU was started."""

    lines: tuple[tuple[float, str], ...]
    memory_bytes: int
    size_bytes: int
    accelerator: str
    """How the machine's processor was made: `kvm`, or `tcg`, in software."""

    @property
    def ready_s(self) -> float:
        """When the first process had said its line."""
        return self.lines[-1][0]


def load() -> Record:
    """The record that comes with the demo."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    found = json.loads(text)
    lines = tuple((float(second), str(line)) for second, line in found.pop("lines"))
    return Record(lines, **found)


def record() -> Record:
    """Boot a machine, and write down what it says until its first process is ready."""
    kernel, emulate = find_kernel(), bool(kvm.trouble())
    with tempfile.TemporaryDirectory(prefix="labkit-microvm-") as folder:
        files = os.path.join(folder, "initramfs")
        initramfs.build(files)
        command = qemu.command_line(kernel, memory_mib=MEMORY_MIB, emulate=emulate, initramfs=files)
        began_s = time.monotonic()
        lines: list[tuple[float, str]] = []
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                for raw in cast("IO[bytes]", process.stdout):
                    line = raw.decode(errors="replace").strip()[:MOST_LETTERS]
                    if line:
                        lines.append((round(time.monotonic() - began_s, 3), line))
                    if READY in line:
                        break
                memory_bytes = psutil.Process(process.pid).memory_full_info().pss
            finally:
                process.kill()
        size_bytes = os.path.getsize(kernel.image) + os.path.getsize(files)
    return Record(tuple(lines), memory_bytes, size_bytes, "tcg" if emulate else "kvm")


def text_of(found: Record) -> str:
    """The record as the file has it: a line for each line."""
    lines = ",\n".join(json.dumps(line) for line in found.lines)
    rest = json.dumps({**found._asdict(), "lines": None}).removeprefix('{"lines": null')
    return f'{{"lines": [\n{lines}\n]{rest}\n'


if __name__ == "__main__":
    with open(os.path.join(os.path.dirname(__file__), FILE), "w", encoding="utf-8") as file:
        file.write(text_of(record()))
