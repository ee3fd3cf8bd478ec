"""A virtual machine really boots, is weighed, and leaves nothing behind."""

import os

import pytest

from labkit import microvm
from labkit.microvm.console import MachineError

pytestmark = pytest.mark.root


def test_it_boots_a_kernel_of_its_own():
    kernel = microvm.find_kernel()
    result = microvm.boot(memory_mib=96)
    times = list(result.moments.values())
    assert list(result.moments) == ["kernel", "first process", "ready"]
    assert times == sorted(times)
    assert result.kernel == kernel.release
    assert result.kernel_bytes == os.path.getsize(kernel.image)
    assert result.initramfs_bytes > os.path.getsize("/bin/busybox")
    assert 32 << 20 < result.guest_memory_bytes < 96 << 20
    assert result.memory_bytes > result.guest_memory_bytes / 2
    assert result.processes > 10


def test_one_that_does_not_come_up_says_what_it_said_last():
    with pytest.raises(MachineError, match=r"not ready after 0\.1 s"):
        microvm.boot(memory_mib=96, timeout_s=0.1, emulate=True)
