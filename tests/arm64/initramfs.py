"""`python -m tests.arm64.initramfs ROOT FILE`: the first files of a machine with a disk.

Made on this machine within a second, of the busybox and the modules in ROOT; Debian's own
tool would run in the emulated one, for minutes.
"""

import sys
from pathlib import Path

from labkit.microvm.cpio import Archive
from tests.machine.kernels import Kernel, modules_in_order, read_module

WANTED = ("virtio_pci", "virtio_blk", "ext4")

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
until /bin/busybox mount -t ext4 /dev/vda /root; do /bin/busybox sleep 0.1; done
exec /bin/busybox switch_root /root /sbin/init
"""


def build(root: Path, path: str) -> None:
    """Write the initramfs for the one kernel that is installed in `root`."""
    (folder,) = (root / "usr/lib/modules").iterdir()
    kernel = Kernel(folder.name, "", folder)
    archive = Archive()
    for name in ("bin", "dev", "modules", "root"):
        archive.folder(name)
    archive.file("bin/busybox", (root / "bin/busybox").read_bytes(), 0o755)
    archive.file("init", INIT.encode(), 0o755)
    for number, module in enumerate(modules_in_order(kernel, WANTED)):
        archive.file(f"modules/{number:02}-{module.name}", read_module(module))
    archive.write(path)


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
