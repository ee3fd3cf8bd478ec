"""The verdict on KVM, with a stand-in for QEMU: what a guest says is all that counts."""

import importlib
import time

import pytest

from labkit.errors import NotFoundError
from labkit.microvm import kvm
from labkit.microvm.kernels import GuestKernel

# The package's own `boot` is the function.
boot = importlib.import_module("labkit.microvm.boot")


@pytest.fixture
def guest(monkeypatch, tmp_path):
    """A function: let the guest be this shell script, and return the list of its starts."""
    kvm.trouble.cache_clear()
    monkeypatch.setattr(kvm, "DEVICE", "/dev/null")
    monkeypatch.setattr(kvm, "TRIAL_S", 1.0)
    monkeypatch.setattr(kvm, "find_kernel", lambda: GuestKernel("6.1", "/boot/vmlinuz-6.1"))

    def become(script):
        starts = []

        def command_line(*_arguments, **options):
            starts.append(options)
            return ["sh", "-c", script]

        monkeypatch.setattr(kvm.qemu, "command_line", command_line)
        return starts

    yield become
    kvm.trouble.cache_clear()


def test_a_kernel_that_speaks_is_enough_and_is_asked_once(guest, monkeypatch):
    monkeypatch.setattr(kvm, "TRIAL_S", 30.0)
    starts = guest("echo 'Linux version 6.1'; exec sleep 60")
    begin = time.monotonic()
    assert kvm.trouble() == ""
    assert kvm.trouble() == ""
    assert time.monotonic() - begin < 20
    assert [start["emulate"] for start in starts] == [False]


def test_a_guest_that_hangs_is_no_kvm(guest):
    starts = guest("echo 'Booting from ROM...'; exec sleep 60")
    assert "hangs" in kvm.trouble()
    assert "Booting from ROM" in kvm.trouble()
    assert len(starts) == 1


def test_a_guest_that_ends_says_why(guest, monkeypatch):
    monkeypatch.setattr(kvm, "TRIAL_S", 30.0)
    guest("echo 'failed to set MSR 0x10a'; echo 'Assertion failed'; exit 1")
    assert kvm.trouble().endswith("a guest ends at once: failed to set MSR 0x10a")


def test_a_silent_guest(guest):
    guest("exec sleep 60")
    assert kvm.trouble().endswith("before its kernel's first line")


def test_no_device_needs_no_guest(guest, monkeypatch):
    starts = guest("exit 1")
    monkeypatch.setattr(kvm, "DEVICE", "/dev/no-such-device")
    assert kvm.trouble() == "/dev/no-such-device: No such file or directory"
    assert starts == []


def test_chapter_1_goes_by_the_verdict(guest, monkeypatch):
    guest("exec sleep 60")
    monkeypatch.setattr(boot, "_boot", lambda *_, emulate: emulate)
    monkeypatch.setattr(boot.initramfs, "build", lambda _: None)
    monkeypatch.setattr(boot, "find_kernel", lambda: GuestKernel("6.1", "/boot/vmlinuz-6.1"))
    assert boot.boot() is True
    kvm.trouble.cache_clear()
    monkeypatch.setattr(kvm, "TRIAL_S", 30.0)
    guest("echo 'Linux version 6.1'; exec sleep 60")
    assert boot.boot() is False


def test_without_qemu_there_is_no_verdict(guest, monkeypatch):
    def missing(*_arguments, **_options):
        raise NotFoundError("there is no qemu")

    monkeypatch.setattr(kvm.qemu, "command_line", missing)
    with pytest.raises(NotFoundError):
        kvm.trouble()
