"""The parts of the virtual machine that need neither QEMU nor a kernel."""

import subprocess

import pytest

from labkit.errors import NotFoundError
from labkit.microvm import find_kernel
from labkit.microvm.cpio import Archive
from labkit.microvm.initramfs import static_busybox
from labkit.microvm.kernels import GuestKernel
from labkit.microvm.qemu import command_line


def test_the_archive_is_one_that_cpio_reads(tmp_path):
    made = Archive()
    made.folder("bin")
    made.file("bin/tool", b"abcde", 0o755)
    made.file("empty", b"")
    made.link("bin/other", "tool")
    made.write(str(tmp_path / "archive"))
    with open(tmp_path / "archive", "rb") as file:
        subprocess.run(["busybox", "cpio", "-id"], stdin=file, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/other").read_bytes() == b"abcde"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_kernel_for_virtual_machines_is_preferred_then_the_newest(tmp_path):
    for release in ("6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "7.0-amd64"):
        (tmp_path / f"vmlinuz-{release}").touch()
    (tmp_path / "initrd.img-9.0").touch()
    folders = (str(tmp_path / "none"), str(tmp_path))
    assert find_kernel(folders).release == "6.1.0-56-cloud-amd64"


def test_no_kernel_says_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match=r"provision\.sh kernel"):
        find_kernel((str(tmp_path),))


def test_a_busybox_that_needs_libraries_is_refused(tmp_path):
    (tmp_path / "busybox").write_bytes(b"\x7fELF.../lib64/ld-linux-x86-64.so.2")
    with pytest.raises(NotFoundError, match="busybox-static"):
        static_busybox(str(tmp_path / "busybox"))


@pytest.mark.parametrize(("emulate", "accelerator"), [(True, "tcg"), (False, "kvm")])
def test_the_machine_has_a_serial_port_and_no_network(emulate, accelerator):
    kernel = GuestKernel("6.1", "/boot/vmlinuz-6.1")
    words = command_line(kernel, memory_mib=96, emulate=emulate)
    assert words[words.index("-accel") + 1].startswith(accelerator)
    assert words[words.index("-m") + 1] == "96M"
    assert words[words.index("-serial") + 1] == "stdio"
    assert "-nodefaults" in words
    assert not any("net" in word for word in words)
