"""What labkit does not do itself: the programs it runs, and the network they set up."""

import os
import shutil
from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding, Situation, install, tried

NOT_TRIED = "not tried: "
"""How the result of a trial begins that could not be made: it says nothing about the machine."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TINI = "/usr/bin/tini-static"

QEMU = {
    "x86_64": ("qemu-system-x86_64", "qemu-system-x86"),
    "aarch64": ("qemu-system-aarch64", "qemu-system-arm"),
}
"""By machine: the program, and the Debian package it is in."""


def find(program: str) -> str:
    """The path of a program, also where a user's PATH does not lead; "" if there is none."""
    return shutil.which(program) or shutil.which(program, path=SEARCH_PATH) or ""


def check_network(situation: Situation) -> Iterator[Finding]:
    """Address translation by nft in a network namespace of its own."""
    yield tried(
        situation,
        "nat",
        "nft",
        "address translation works (bridge network, -p)",
        install("nftables") if not find("nft") else "use a kernel with CONFIG_NFT_MASQ, NFT_NAT",
    )


def check_image_tools(_: Situation) -> Iterator[Finding]:
    """What the base images are made with."""
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
        # The name of the dynamic loader, if it needs one, stands near the beginning (elf(5)).
        is_static = b"/ld-" not in file.read(4096)
    if is_static:
        return Finding("busybox", OK, "the image busybox can be made")
    return Finding("busybox", LIMITED, "needs libraries of its own", install("busybox-static"))


def check_virtual_machines(situation: Situation) -> Iterator[Finding]:
    """QEMU, and whether the processor helps it."""
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
