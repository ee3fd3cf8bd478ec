"""The kernel to boot and its modules."""

import lzma
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.machine.errors import MachineError

# What the guest needs before it has a root: the bus, the ports its output leaves by, this machine's
# root folder, the overlay over it, the scratch disk.  Any of them may be built in.
WANTED = (
    *("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "virtio_blk", "ext4"),
    *("loop", "bfq"),
)

PACKAGES = {"x86_64": "linux-image-amd64", "aarch64": "linux-image-arm64"}
# Kernels for cloud machines are built without 9p.
WITHOUT_9P = re.compile(r"cloud|kvm|azure|aws|gcp")


# Where kernels lie: the system's own, and the one fetched for these tests (vagrant/provision.sh).
PLACES = (
    ("/boot", "/lib/modules"),
    (f"{sys.prefix}/share/labkit/machine/boot", f"{sys.prefix}/share/labkit/machine/modules"),
)


class Kernel(NamedTuple):
    """An installed kernel: its release (`uname -r`), its image, the folder of its modules."""

    release: str
    image: str
    modules: Path


def find(places: Iterable[tuple[str, str]] = PLACES) -> Kernel:
    """The newest installed kernel that has both an image and the modules the guest needs.

    A place is the folder of the images and that of the modules.  Raises `MachineError`, naming the
    package to install, when there is none.
    """
    found = [
        Kernel(release, f"{boot}/vmlinuz-{release}", Path(modules, release))
        for boot, modules in places
        for release in _releases(boot)
        if not WITHOUT_9P.search(release) and Path(modules, release, "modules.dep").exists()
    ]
    if found:
        return max(found, key=lambda kernel: _version(kernel.release))
    package = PACKAGES.get(os.uname().machine, "a kernel image with its modules")
    looked = " or ".join(" and ".join(place) for place in places)
    raise MachineError(
        f"There is no kernel to boot: no vmlinuz-* with modules in {looked}. Fetch one: "
        f"`sudo bash vagrant/provision.sh machine_kernel`, or `apt-get install {package}`"
    )


def _releases(boot: str) -> list[str]:
    names = os.listdir(boot) if os.path.isdir(boot) else []
    return [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]


def _version(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def modules_in_order(kernel: Kernel, wanted: tuple[str, ...] = WANTED) -> list[Path]:
    """The files of the wanted modules and of all they depend on, in the order to load them.

    Reads `modules.dep` and `modules.builtin` (depmod(8)).  Raises `MachineError` for a module the
    kernel was built without.
    """
    needs = _dependencies((kernel.modules / "modules.dep").read_text())
    built_in = {_name(line) for line in (kernel.modules / "modules.builtin").read_text().split()}
    by_name = {_name(path): path for path in needs}
    order: dict[str, None] = {}
    for module in wanted:
        if module in by_name:
            path = by_name[module]
            # The list begins with what is needed first by the module itself: last loaded, first.
            order.update(dict.fromkeys([*reversed(needs[path]), path]))
        elif module not in built_in:
            raise MachineError(f"Kernel {kernel.release} has no module {module}: install another.")
    return [kernel.modules / path for path in order]


def _dependencies(modules_dep: str) -> dict[str, list[str]]:
    pairs = (line.partition(":") for line in modules_dep.splitlines())
    return {path: rest.split() for path, _, rest in pairs}


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """A module's ELF file, decompressed: distributions ship `.ko`, `.ko.xz` or `.ko.zst`."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=data, stdout=-1, check=True).stdout
    return data


if __name__ == "__main__":  # the step of vagrant/provision.sh asks whether there is one
    try:
        find()
    except MachineError as error:
        sys.exit(str(error))
