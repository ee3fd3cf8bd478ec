"""The machine, as QEMU's command line."""

from collections.abc import Mapping
from typing import NamedTuple

from labkit.microvm.qemu import acceleration, architecture
from tests.machine.kernels import Kernel

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


def command_line(machine: Machine, ports: Mapping[str, int]) -> list[str]:
    """QEMU's arguments.

    `ports` are the guest's ways out, name by name: virtio serial ports, `/dev/vport*` in the guest.
    QEMU writes what comes out of one to its descriptor, which the caller passes on to the process.
    """
    arch = architecture()
    boot = f"console={arch.console} {BOOT}"
    if machine.emulate:
        boot += f" {arch.emulated_boot}"
    return [
        arch.program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", arch.machine),
        *acceleration(arch, emulate=machine.emulate),
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
