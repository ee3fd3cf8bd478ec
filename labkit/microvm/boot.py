"""Boot the machine, record the time of each stage, measure its memory, and end it."""

import os
import subprocess
import tempfile
import time
from typing import IO, NamedTuple, cast

from labkit.microvm import initramfs, kvm, qemu
from labkit.microvm.console import listen
from labkit.microvm.kernels import GuestKernel, find_kernel


class Boot(NamedTuple):
    """One start of the virtual machine."""

    moments: dict[str, float]
    """Seconds from the start of QEMU to: `kernel` (its first line), `first process`, `ready`."""
    memory_bytes: int
    """The host's memory that it takes when it is ready and idle (QEMU's proportional set)."""
    guest_memory_bytes: int
    """The memory that the guest sees."""
    kernel: str
    """The release of the guest's kernel, from the guest (`uname -r`)."""
    processes: int
    """How many processes run in the guest, the kernel's own threads included."""
    kernel_bytes: int
    """The size of the kernel's image, of which every machine has its own."""
    initramfs_bytes: int
    """The size of its first files."""
    accelerator: str
    """`kvm`, the host's own processor; or `tcg`, an emulated one, 15 times slower."""


def boot(*, memory_mib: int = 128, timeout_s: float = 60.0, emulate: bool | None = None) -> Boot:
    """Start a machine, wait until it is ready, measure it, and end it.

    It uses KVM if that works (`kvm.trouble`), else emulation; `emulate` decides instead.
    Raises `NotFoundError` if QEMU, a kernel or busybox is missing, `MachineError` with the
    console's last lines if the machine is not ready in `timeout_s`.
    """
    kernel = find_kernel()
    with tempfile.TemporaryDirectory(prefix="labkit-microvm-") as folder:
        files = os.path.join(folder, "initramfs")
        initramfs.build(files)
        if emulate is None:
            emulate = bool(kvm.trouble())
        return _boot(kernel, files, memory_mib, timeout_s, emulate=emulate)


def _boot(
    kernel: GuestKernel, files: str, memory_mib: int, timeout_s: float, *, emulate: bool
) -> Boot:
    command = qemu.command_line(kernel, memory_mib=memory_mib, emulate=emulate, initramfs=files)
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
            moments, last = listen(console, begin, timeout_s)
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


def _proportional_set_bytes(pid: int) -> int:
    """Return a process's memory; a page shared by n processes counts as 1/n (proc(5))."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return int(fields["Pss"].split()[0]) * 1024
