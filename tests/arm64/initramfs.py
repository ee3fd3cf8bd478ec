"""`python -m tests.arm64.initramfs ROOT FILE`: the first files of a machine with a disk.

Made on this machine within a second, of the busybox and the modules in ROOT; Debian's own
tool would run in the emulated one, for minutes.
"""

import sys
from pathlib import Path

from labkit.microvm.cpio import Archive
from tests.machine.kernels import Kernel, modules_in_order, read_module

WANTED = ("virtio_pci", "virtio_blk", "ext4")
CHECKSUMS = "crc32c_generic"
"""What ext4 asks the kernel for when it mounts; newer kernels have it built in."""

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t sysfs sys /sys
disk=$(/bin/busybox grep -lx root /sys/block/*/serial)
/bin/busybox mount -t ext4 "/dev/$(/bin/busybox basename "${disk%/serial}")" /root
exec /bin/busybox switch_root /root /sbin/init
"""


def build(root: Path, path: str) -> None:
    """Write the initramfs for the one kernel that is installed in `root`."""
    (folder,) = (root / "usr/lib/modules").iterdir()
    kernel = Kernel(folder.name, "", folder)
    helpers = (CHECKSUMS,) if CHECKSUMS in (folder / "modules.dep").read_text() else ()
    archive = Archive()
    for name in ("bin", "dev", "modules", "root", "sys"):
        archive.folder(name)
    archive.file("bin/busybox", (root / "bin/busybox").read_bytes(), 0o755)
    archive.file("init", INIT.encode(), 0o755)
    for number, module in enumerate(modules_in_order(kernel, (*helpers, *WANTED))):
        # Read, it is no longer compressed, and insmod goes by the name.
        name = module.name.partition(".")[0]
        archive.file(f"modules/{number:02}-{name}.ko", read_module(module))
    archive.write(path)


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
