"""The experiment of chapter 1: a virtual machine and a container, started and measured alike.

Both run the same program, busybox, and nothing else.  The time of both begins with the host's
command to start, and ends when the host has read the first line that the first process prints.
"""

import itertools
import os
import time

import psutil

from labkit import microvm
from labkit.client import Client
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.vm.vm_result import Guest, VmAndContainer

LIFETIME_S = 60.0
BOOT_TIMEOUT_S = 300.0
"""If this machine is itself emulated, its guest boots hundreds of times more slowly."""


def vm_and_container(
    *, memory_mib: int = 128, emulate: bool | None = None, client: Client | None = None
) -> VmAndContainer:
    """Boot a virtual machine with `memory_mib` of memory, start a container, and compare them.

    Both are removed at the end.  The machine is emulated if KVM does not work, or if `emulate`
    is True.  Raises `LabkitError` if there is no QEMU, no kernel to boot, or no daemon.
    """
    machine = microvm.boot(memory_mib=memory_mib, timeout_s=BOOT_TIMEOUT_S, emulate=emulate)
    vm = Guest(
        first_process_s=machine.moments["first process"],
        memory_bytes=machine.memory_bytes,
        size_bytes=machine.kernel_bytes + machine.initramfs_bytes,
        kernel=machine.kernel,
        processes=machine.processes,
    )
    container = weigh_container(client or connect())
    return VmAndContainer(machine, vm, container, os.uname().release)


def weigh_container(client: Client) -> Guest:
    """Start a container, and measure it from the host."""
    image = client.images.get("busybox")
    with Crew(client, "vm-and-container", LIFETIME_S) as crew:
        begin = time.monotonic()
        container = crew.hire("beside-a-vm", "sh -c 'uname -r; exec sleep 86400'")
        said = list(itertools.islice(container.logs(stream=True, follow=True), 1))
        first_process_s = time.monotonic() - begin
        container.reload()
        first = psutil.Process(container.attrs["State"]["Pid"])
        inside = [first, *first.children(recursive=True)]
        shim = psutil.Process(first.ppid())
        return Guest(
            first_process_s=first_process_s,
            memory_bytes=sum(process.memory_full_info().pss for process in [shim, *inside]),
            size_bytes=int(image.attrs["Size"]),
            kernel=said[0].decode().strip(),
            processes=len(inside),
        )
