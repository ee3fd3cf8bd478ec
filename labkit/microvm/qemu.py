"""The virtual machine, as QEMU's command line: a processor, some memory, a serial port."""

import os
import shutil
from typing import NamedTuple

from labkit.errors import NotFoundError
from labkit.microvm.kernels import GuestKernel


class Architecture(NamedTuple):
    """The differences between processors.

    `emulated_cpu` is a plain one on purpose: a guest uses each extension that it finds, and an
    emulated vector instruction is slower than the ones it replaces.
    """

    program: str
    package: str
    machine: str
    emulated_cpu: str
    console: str
    early_console: str
    """The kernel's argument for a console before it has found its devices."""
    emulated_boot: str


ARCHITECTURES = {
    "x86_64": Architecture(
        program="qemu-system-x86_64",
        package="qemu-system-x86",
        # Not `microvm`: emulated on a busy host, that one waits for its clock for ever.
        machine="pc",
        emulated_cpu="Nehalem",
        console="ttyS0",
        early_console="earlyprintk=ttyS0",
        # All emulated processors share one clock: the kernel need not measure it.
        emulated_boot="tsc=reliable no_timer_check",
    ),
    "aarch64": Architecture(
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        # The newest interrupt controller that the host has: with KVM it must be the host's own.
        machine="virt,gic-version=max",
        emulated_cpu="cortex-a72",
        console="ttyAMA0",
        early_console="earlycon",
        emulated_boot="",
    ),
}

BOOT = "loglevel=6 panic=-1 mitigations=off random.trust_cpu=on"
"""loglevel=6: notices and above, so also the first line; panic=-1: reboot at once, which -no-reboot
turns into an end; mitigations=off: nothing in the guest is worth the time they cost."""


def architecture() -> Architecture:
    """Return this machine's; `NotFoundError` if QEMU for it is missing or unknown."""
    name = os.uname().machine
    if name not in ARCHITECTURES:
        raise NotFoundError(f"virtual machines run on {', '.join(ARCHITECTURES)}, not on {name}")
    found = ARCHITECTURES[name]
    if not shutil.which(found.program):
        raise NotFoundError(f"there is no {found.program}: apt-get install {found.package}")
    return found


def acceleration(arch: Architecture, *, emulate: bool) -> list[str]:
    """Return QEMU's arguments for the processor: the host's own by KVM, or an emulated one."""
    if emulate:
        return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", arch.emulated_cpu]
    return ["-accel", "kvm", "-cpu", "host"]


def command_line(
    kernel: GuestKernel, *, memory_mib: int, emulate: bool, initramfs: str = ""
) -> list[str]:
    """Return QEMU and its arguments; the guest's console is on standard output.

    Without an `initramfs` the kernel starts, and finds no program to run.
    """
    arch = architecture()
    boot = f"console={arch.console} {arch.early_console} {BOOT}"
    if emulate:
        boot += f" {arch.emulated_boot}"
    return [
        arch.program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", arch.machine, *acceleration(arch, emulate=emulate)),
        *("-m", f"{memory_mib}M", "-serial", "stdio"),
        *("-kernel", kernel.image, "-append", boot),
        *(["-initrd", initramfs] if initramfs else []),
    ]
