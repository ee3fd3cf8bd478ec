"""Start the machine, copy what comes out of it, watch the time, leave nothing behind."""

import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.machine import archive, kernels, qemu
from tests.machine.errors import MachineError

PORTS = ("stdout", "stderr", "status")
# Files of the session's folder: what the guest's kernel says, what QEMU says.
CONSOLE, COMPLAINTS = "console", "complaints"
LAST_LINES = 40

# With KVM a guest is up within a second or two; where KVM only pretends to work, it never is.
HARDWARE_BOOT_S = 15.0

# Python would compile every module again in every process: let it keep the result, which goes to
# the memory over the root.  The others describe this machine or this terminal, not the guest.
NOT_PASSED_ON = {
    *("PYTHONDONTWRITEBYTECODE", "OPENBLAS_CORETYPE"),
    *("HOME", "OLDPWD", "PWD", "SHLVL", "TERM", "TMPDIR", "_"),
}


class Options(NamedTuple):
    """The machine's size and how long the command may take."""

    cpus: int = 2
    memory_mib: int = 2048
    scratch_mib: int = 2048
    timeout_s: float = 1800.0
    emulate: bool = False


class _NotUpError(MachineError):
    """The guest did not come up."""


def run(command: str, environment: Mapping[str, str], options: Options) -> int:
    """Run a shell command in a new machine, in the current folder; return its exit status.

    What it prints goes to our own standard output and error as it comes.  KVM is used where it
    works, unless the options say otherwise.  Raises `MachineError` when the machine cannot be
    built, dies or takes longer than it may.
    """
    folder = tempfile.mkdtemp(prefix="machine-")
    try:
        machine = _build(folder, command, environment, options)
        if options.emulate or not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return _boot(machine, folder, options.timeout_s)
        try:
            return _boot(machine._replace(emulate=False), folder, options.timeout_s)
        except _NotUpError:
            print("tests.machine: KVM does not work here, so QEMU emulates.", file=sys.stderr)
            return _boot(machine, folder, options.timeout_s)
    finally:
        shutil.rmtree(folder)


def _build(
    folder: str, command: str, environment: Mapping[str, str], options: Options
) -> qemu.Machine:
    machine = qemu.Machine(
        cpus=options.cpus,
        memory_mib=options.memory_mib,
        kernel=kernels.find(),
        initramfs=f"{folder}/initramfs",
        scratch=f"{folder}/scratch",
        console=f"{folder}/{CONSOLE}",
        emulate=True,
    )
    passed_on = {name: value for name, value in environment.items() if name not in NOT_PASSED_ON}
    archive.build(machine.initramfs, machine.kernel, command, passed_on)
    if not shutil.which("mkfs.ext4"):
        raise MachineError("There is no mkfs.ext4: apt-get install e2fsprogs")
    with open(machine.scratch, "wb") as disk:
        disk.truncate(options.scratch_mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", machine.scratch], check=True)
    return machine


def _boot(machine: qemu.Machine, folder: str, timeout_s: float) -> int:
    pipes = {name: os.pipe() for name in PORTS}
    writers = {name: writer for name, (_, writer) in pipes.items()}
    with open(f"{folder}/{COMPLAINTS}", "wb") as complaints:
        process = subprocess.Popen(
            qemu.command_line(machine, writers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=list(writers.values()),
            # ctrl-C at the terminal is ours to answer.
            start_new_session=True,
        )
    for writer in writers.values():
        os.close(writer)
    boot_s = timeout_s if machine.emulate else min(timeout_s, HARDWARE_BOOT_S)
    now = time.monotonic()
    output = _Output({name: reader for name, (reader, _) in pipes.items()})
    try:
        up = output.copy_until(1, now + boot_s)
        status = output.copy_until(2, now + timeout_s) if up else ""
    finally:
        process.kill()
        process.wait()
        output.close()
    if not up:
        raise _NotUpError(f"The machine did not come up.\n{_last_words(folder)}")
    if not status and time.monotonic() >= now + timeout_s:
        raise MachineError(f"The command took longer than {timeout_s:g} s: the machine was ended.")
    if not status:
        raise MachineError(f"The machine died before the command ended.\n{_last_words(folder)}")
    return int(status)


class _Output:
    """The read ends of the guest's ports.

    On the status port the guest sends two lines: `up`, and at the end, when all other output has
    left it, the command's exit status.
    """

    def __init__(self, readers: Mapping[str, int]) -> None:
        self._sinks = {
            readers["stdout"]: sys.stdout.fileno(),
            readers["stderr"]: sys.stderr.fileno(),
        }
        self._readers = readers
        self._status = b""
        self._selector = selectors.DefaultSelector()
        for reader in readers.values():
            self._selector.register(reader, selectors.EVENT_READ)

    def close(self) -> None:
        self._selector.close()
        for reader in self._readers.values():
            os.close(reader)

    def copy_until(self, lines: int, deadline: float) -> str:
        """Copy output until the status port has sent so many lines; return the last of them.

        Returns "" when QEMU ends before that, or the deadline comes.
        """
        while self._selector.get_map():
            complete = self._status.count(b"\n") >= lines
            left_s = 0.0 if complete else max(0.0, deadline - time.monotonic())
            ready = self._selector.select(left_s)
            if complete and not ready:
                return self._status.split(b"\n")[lines - 1].decode()
            if not ready:
                return ""
            for key, _ in ready:
                self._copy(key.fd)
        return ""

    def _copy(self, reader: int) -> None:
        data = os.read(reader, 65536)
        if not data:
            self._selector.unregister(reader)
        elif reader == self._readers["status"]:
            self._status += data
        else:
            while data:
                data = data[os.write(self._sinks[reader], data) :]


def _last_words(folder: str) -> str:
    lines: list[str] = []
    for name in (CONSOLE, COMPLAINTS):
        path = Path(folder, name)
        if path.exists():
            lines += path.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(lines)
