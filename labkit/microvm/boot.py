"""Boot the machine, take the time of each moment, weigh it, and end it."""

import os
import selectors
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO, NamedTuple, cast

from labkit.errors import LabkitError
from labkit.microvm import initramfs, qemu
from labkit.microvm.kernels import GuestKernel, find_kernel

MOMENTS = (
    ("kernel", b"Linux version "),
    ("first process", b"labkit: first process"),
    ("ready", b"labkit: ready "),
)
"""What is seen on the console, in this order, and what it means."""

HARDWARE_BOOT_S = 10.0
"""With KVM a guest is up within a second or two; where KVM only pretends to work, it never is."""
LAST_LINES = 8

_pretends = False
"""Whether KVM has been tried here in vain."""


class MachineError(LabkitError):
    """The virtual machine did not come up."""


class Boot(NamedTuple):
    """One start of the virtual machine."""

    moments: dict[str, float]
    """Seconds from the start of QEMU to: `kernel` (its first line), `first process`, `ready`."""
    memory_bytes: int
    """What it takes of the host's memory when it is ready and idle (QEMU's proportional set)."""
    guest_memory_bytes: int
    """What the guest believes it has."""
    kernel: str
    """The release of the guest's kernel, as the guest says (`uname -r`)."""
    processes: int
    """How many processes run in the guest, the kernel's own threads included."""
    kernel_bytes: int
    """The size of the kernel's image, which every machine has to itself."""
    initramfs_bytes: int
    """The size of the files it starts with."""
    accelerator: str
    """`kvm`, the host's own processor; or `tcg`, an emulated one, 15 times slower."""


def boot(*, memory_mib: int = 128, timeout_s: float = 60.0, emulate: bool | None = None) -> Boot:
    """Start a machine, wait until it is ready, weigh it, and end it.

    By KVM where that works, which is found out by trying, else emulated; `emulate` decides it.
    Raises `NotFoundError` when QEMU, a kernel or busybox is missing, `MachineError` with the
    console's last lines when the machine is not ready in `timeout_s`.
    """
    global _pretends  # noqa: PLW0603 what one start has found out spares the next ten seconds
    kernel = find_kernel()
    with tempfile.TemporaryDirectory(prefix="labkit-microvm-") as folder:
        files = os.path.join(folder, "initramfs")
        initramfs.build(files)
        if emulate is None:
            emulate = _pretends or not os.access("/dev/kvm", os.R_OK | os.W_OK)
            if not emulate:
                with suppress(MachineError):
                    return _boot(kernel, files, memory_mib, HARDWARE_BOOT_S, emulate=False)
                _pretends = emulate = True
        return _boot(kernel, files, memory_mib, timeout_s, emulate=emulate)


def _boot(
    kernel: GuestKernel, files: str, memory_mib: int, timeout_s: float, *, emulate: bool
) -> Boot:
    command = qemu.command_line(kernel, files, memory_mib=memory_mib, emulate=emulate)
    begin = time.monotonic()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        try:
            console = cast("IO[bytes]", process.stdout)
            moments, last = _listen(console, begin, timeout_s)
            memory_bytes = _proportional_set_bytes(process.pid)
        finally:
            process.kill()
    words = dict(word.split("=", 1) for word in last.split() if "=" in word)
    return Boot(
        moments=moments,
        memory_bytes=memory_bytes,
        guest_memory_bytes=int(words["memory_kib"]) * 1024,
        kernel=words["kernel"],
        processes=int(words["processes"]),
        kernel_bytes=os.path.getsize(kernel.image),
        initramfs_bytes=os.path.getsize(files),
        accelerator="tcg" if emulate else "kvm",
    )


def _listen(console: IO[bytes], begin: float, timeout_s: float) -> tuple[dict[str, float], str]:
    """Read the console until the last moment: the seconds of each, and the last one's line."""
    moments: dict[str, float] = {}
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        while len(moments) < len(MOMENTS) or not seen.partition(MOMENTS[-1][1])[2].count(b"\n"):
            left_s = begin + timeout_s - time.monotonic()
            data = os.read(console.fileno(), 65536) if selector.select(max(0.0, left_s)) else b""
            now = time.monotonic()
            if not data:
                raise MachineError(_complaint(seen, timeout_s, late=left_s <= 0))
            seen += data
            for name, mark in MOMENTS:
                if name not in moments and mark in seen:
                    moments[name] = now - begin
    last = seen.partition(MOMENTS[-1][1])[2]
    return moments, last.splitlines()[0].decode(errors="replace")


def _complaint(seen: bytes, timeout_s: float, *, late: bool) -> str:
    lines = seen.decode(errors="replace").splitlines()[-LAST_LINES:]
    what = f"is not ready after {timeout_s:g} s" if late else "has ended before it was ready"
    return "\n".join([f"the virtual machine {what}; the last it said:", *lines])


def _proportional_set_bytes(pid: int) -> int:
    """A process's memory, where a page that n processes share counts as an n-th (proc(5))."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return int(fields["Pss"].split()[0]) * 1024
