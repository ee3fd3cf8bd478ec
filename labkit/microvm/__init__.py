"""A real virtual machine, as small as possible: the other half of chapter 1's comparison.

`boot()` starts QEMU with a Linux kernel and only busybox, and returns when the first program inside
reports that it is ready:

    result = boot()
    result.moments          # start, kernel, first user process, ready: seconds since the start
    result.memory_bytes     # of the host's memory, while the machine is up

| part | what it does |
|---|---|
| `kernels` | finds a kernel to boot |
| `cpio`, `initramfs` | makes the machine's only files |
| `qemu` | makes the command line of the machine |
| `console` | reads the console, with the time of each stage |
| `kvm` | tries with a guest whether the processor's virtualisation works |
| `boot` | starts the machine, measures it, and ends it |
"""

from labkit.microvm.boot import Boot, boot
from labkit.microvm.kernels import GuestKernel, find_kernel

__all__ = ["Boot", "GuestKernel", "boot", "find_kernel"]
