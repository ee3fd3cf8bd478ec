"""The machine, as QEMU's command line."""

import os
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from tests.machine.errors import MachineError
from tests.machine.kernels import Kernel


class Architecture(NamedTuple):
    """What differs between processors.

    `emulated_cpu` is a plain one on purpose: each extension a guest finds, it uses, and an emulated
    vector instruction is slower than the ones it replaces.
    """

    program: str
    package: str
    machine: str
    emulated_cpu: str
    console: str
    emulated_boot: str


ARCHITECTURES = {
    "x86_64": Architecture(
        program="qemu-system-x86_64",
        package="qemu-system-x86",
        machine="q35",
        emulated_cpu="Nehalem",
        console="ttyS0",
        # The emulated clock is one and the same for all processors: the kernel need not measure it.
        emulated_boot="tsc=reliable no_timer_check",
    ),
    "aarch64": Architecture(
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        machine="virt",
        emulated_cpu="cortex-a72",
        console="ttyAMA0",
        emulated_boot="",
    ),
}

# quiet: errors only; panic=-1: reboot at once on a panic, which -no-reboot turns into an end;
# mitigations=off: nothing in the guest is worth the time they cost.
BOOT = "quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=on"


class Machine(NamedTuple):
    """What the guest gets: processors, memory, kernel, and files of the session's folder."""

    cpus: int
    memory_mib: int
    kernel: Kernel
    initramfs: str
    scratch: str
    console: str
    emulate: bool


def architecture() -> Architecture:
    """This machine's; raises `MachineError` when QEMU for it is missing or unknown."""
    name = os.uname().machine
    if name not in ARCHITECTURES:
        raise MachineError(f"The test machine knows {', '.join(ARCHITECTURES)}, not {name}.")
    found = ARCHITECTURES[name]
    if not shutil.which(found.program):
        raise MachineError(f"There is no {found.program}: apt-get install {found.package}")
    return found


def command_line(machine: Machine, ports: Mapping[str, int]) -> list[str]:
    """QEMU's arguments.

    `ports` are the guest's ways out, name by name: virtio serial ports, `/dev/vport*` in the guest.
    QEMU writes what comes out of one to its descriptor, which the caller passes on to the process.
    """
    arch = architecture()
    boot = f"console={arch.console} {BOOT}"
    if machine.emulate:
        boot += f" {arch.emulated_boot}"
        processor = ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", arch.emulated_cpu]
    else:
        processor = ["-accel", "kvm", "-cpu", "host"]
    return [
        arch.program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", arch.machine),
        *processor,
        *("-smp", str(machine.cpus), "-m", f"{machine.memory_mib}M"),
        *("-kernel", machine.kernel.image, "-initrd", machine.initramfs, "-append", boot),
        *("-serial", f"file:{machine.console}"),
        # multidevs=remap: the root folder may span file systems, whose inode numbers collide.
        *("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
        # The disk is thrown away: no write needs to reach this machine's own disk.
        *("-drive", f"if=none,id=scratch,file={machine.scratch},format=raw,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=scratch,serial=scratch"),
        *("-device", "virtio-serial-pci"),
        *(argument for name, fd in ports.items() for argument in _port(name, fd)),
    ]


def _port(name: str, fd: int) -> list[str]:
    return [
        *("-add-fd", f"fd={fd},set={fd}"),
        *("-chardev", f"file,id={name},path=/dev/fdset/{fd},append=on"),
        *("-device", f"virtserialport,chardev={name},name={name}"),
    ]
