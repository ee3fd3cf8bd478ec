"""A real virtual machine, as small as one can be: the other half of chapter 1's comparison.

`boot()` starts QEMU with a Linux kernel and nothing else but busybox, and returns when the first
program inside says that it is ready:

    result = boot()
    result.moments          # start, kernel, first user process, ready: seconds since the start
    result.memory_bytes     # of the host's memory, while the machine is up

| part | what it does |
|---|---|
| `kernels` | finds a kernel to boot |
| `cpio`, `initramfs` | the machine's first and only files |
| `qemu` | the machine itself, as a command line |
| `console` | what it says, and when |
| `kvm` | whether the processor helps: tried with a guest |
| `boot` | starts it, weighs it, and ends it |
"""

from labkit.microvm.boot import Boot, boot
from labkit.microvm.kernels import GuestKernel, find_kernel

__all__ = ["Boot", "GuestKernel", "boot", "find_kernel"]
