"""The parts of the test machine that need neither QEMU nor a kernel."""

import subprocess

import pytest

from tests.machine import archive, kernels
from tests.machine.errors import MachineError
from tests.machine.kernels import Kernel


@pytest.fixture
def kernel(tmp_path):
    folder = tmp_path / "6.1.0-9-amd64"
    folder.mkdir()
    (folder / "modules.dep").write_text(
        "fs/9p/9p.ko: net/9pnet.ko lib/netfs.ko lib/fscache.ko\n"
        "net/9pnet.ko:\n"
        "lib/netfs.ko: lib/fscache.ko\n"
        "lib/fscache.ko:\n"
        "drivers/virtio-pci.ko.xz: net/9pnet.ko\n"
    )
    (folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    return Kernel("6.1.0-9-amd64", "/boot/vmlinuz", folder)


def test_modules_come_after_what_they_need(kernel):
    paths = kernels.modules_in_order(kernel, ("virtio_pci", "9p", "ext4"))
    assert [path.name for path in paths] == [
        *("9pnet.ko", "virtio-pci.ko.xz", "fscache.ko", "netfs.ko", "9p.ko")
    ]


def test_a_kernel_without_a_module_is_refused(kernel):
    with pytest.raises(MachineError, match="no module overlay"):
        kernels.modules_in_order(kernel, ("overlay",))


def test_the_newest_suitable_kernel_is_found(tmp_path):
    for release in ("6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-60-cloud-amd64", "7.0-amd64"):
        (tmp_path / f"vmlinuz-{release}").touch()
        if release != "7.0-amd64":  # an image whose modules are gone
            (tmp_path / release).mkdir()
            (tmp_path / release / "modules.dep").touch()
    assert kernels.find([(str(tmp_path), str(tmp_path))]).release == "6.1.0-56-amd64"


def test_no_kernel_says_what_to_install(tmp_path):
    with pytest.raises(MachineError, match="apt-get install"):
        kernels.find([(str(tmp_path), str(tmp_path))])


def test_the_environment_survives_a_shell():
    value = "a 'quoted' $word\nand a line"
    lines = archive._exports({"GIVEN": value, "BASH_FUNC_x%%": "no name for a shell"})
    shown = subprocess.run(
        ["sh", "-c", f'{lines}printf %s "$GIVEN"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout == value
