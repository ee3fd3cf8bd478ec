"""A kernel to boot: a virtual machine needs its own."""

import os
import re
import sys
from typing import NamedTuple

from labkit.errors import NotFoundError

FOLDERS = ("/boot", f"{sys.prefix}/share/labkit/boot")
"""The folders of kernels: the system's own, and the lab's for a system without one."""

SMALL = re.compile(r"cloud|kvm|virtual|aws|azure|gcp")
"""Words in the release of a kernel for virtual machines: a smaller image boots sooner."""


class GuestKernel(NamedTuple):
    """A kernel's release (`uname -r`) and its image."""

    release: str
    image: str


def find_kernel(folders: tuple[str, ...] = FOLDERS) -> GuestKernel:
    """Return the kernel to boot: one for virtual machines if there is one, the newest.

    Raises `NotFoundError` if there is none that may be read.
    """
    found = [
        GuestKernel(name.removeprefix("vmlinuz-"), f"{folder}/{name}")
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if name.startswith("vmlinuz-") and os.access(f"{folder}/{name}", os.R_OK)
    ]
    if not found:
        raise NotFoundError(
            f"there is no kernel to boot (vmlinuz-*) in {' or '.join(folders)}: "
            f"`bash vagrant/provision.sh kernel`, as root, installs one"
        )
    return max(found, key=lambda kernel: (bool(SMALL.search(kernel.release)), _version(kernel)))


def _version(kernel: GuestKernel) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", kernel.release)]
