"""The programs that labkit runs, and the network that they set up."""

import os
import shutil
from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding, Situation, install, tried

NOT_TRIED = "not tried: "
"""The beginning of a result without a trial; it says nothing about the machine."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TINI = "/usr/bin/tini-static"

QEMU = {
    "x86_64": ("qemu-system-x86_64", "qemu-system-x86"),
    "aarch64": ("qemu-system-aarch64", "qemu-system-arm"),
}
"""For each machine: the program, and its Debian package."""


def find(program: str) -> str:
    """The path of a program, also outside of a user's PATH; "" if there is none."""
    return shutil.which(program) or shutil.which(program, path=SEARCH_PATH) or ""


def check_network(situation: Situation) -> Iterator[Finding]:
    """Address translation by nft in another network namespace."""
    yield tried(
        situation,
        "nat",
        "nft",
        "address translation works (bridge network, -p)",
        install("nftables") if not find("nft") else "use a kernel with CONFIG_NFT_MASQ, NFT_NAT",
    )


def check_image_tools(_: Situation) -> Iterator[Finding]:
    """The programs that make the base images."""
    yield _busybox()
    path = find("mmdebstrap")
    yield Finding(
        "mmdebstrap",
        OK if path else MISSING,
        "the image debian can be made" if path else "no image debian",
        "" if path else install("mmdebstrap"),
    )
    yield Finding(
        "tini",
        OK if os.path.exists(TINI) else MISSING,
        "run --init" if os.path.exists(TINI) else "no run --init",
        "" if os.path.exists(TINI) else install("tini"),
    )


def _busybox() -> Finding:
    path = find("busybox")
    if not path:
        return Finding("busybox", MISSING, "no image busybox", install("busybox-static"))
    with open(path, "rb") as file:
        # A program that needs a dynamic loader has the loader's name near its beginning (elf(5)).
        is_static = b"/ld-" not in file.read(4096)
    if is_static:
        return Finding("busybox", OK, "the image busybox can be made")
    return Finding("busybox", LIMITED, "needs shared libraries", install("busybox-static"))


def check_virtual_machines(situation: Situation) -> Iterator[Finding]:
    """QEMU, and whether it can use the processor's virtualisation (KVM)."""
    program, package = QEMU.get(os.uname().machine, ("qemu-system", "qemu-system"))
    path = find(program)
    yield Finding(
        "QEMU",
        OK if path else MISSING,
        "virtual machines (chapter 1)" if path else "no virtual machines (chapter 1)",
        "" if path else install(package),
    )
    kvm = tried(situation, "kvm", "KVM", "virtual machines run on the processor", "")
    if kvm.detail.startswith(NOT_TRIED):
        kvm = kvm._replace(state=UNKNOWN)
    elif kvm.state == MISSING:
        kvm = kvm._replace(state=LIMITED, detail=f"virtual machines are emulated: {kvm.detail}")
    yield kvm
