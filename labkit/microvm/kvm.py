"""Whether virtual machines run on this machine's processor, which only a trial can show.

`/dev/kvm` may exist, open, and create virtual machines that never run an instruction: for example
in a virtual machine whose host does not really support nested virtualisation.
"""

import functools
import os
import subprocess
import time
from typing import IO, cast

from labkit.microvm import qemu
from labkit.microvm.console import MachineError, listen
from labkit.microvm.kernels import find_kernel

DEVICE = "/dev/kvm"
TRIAL_S = 2.0
"""With KVM a kernel prints its first line within half a second."""


@functools.cache
def trouble() -> str:
    """Return why virtual machines must be emulated here; "" if a kernel starts with KVM.

    Tried with a guest, for at most `TRIAL_S`, and remembered as long as the process lives.
    Raises `NotFoundError` if there is no QEMU or no kernel to try it with.
    """
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    command = qemu.command_line(find_kernel(), memory_mib=128, emulate=False)
    begin = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            listen(cast("IO[bytes]", process.stdout), begin, TRIAL_S, last="kernel")
        except MachineError as error:
            return _what_was_seen(error)
        finally:
            process.kill()
    return ""


def _what_was_seen(error: MachineError) -> str:
    # QEMU's first line names the fault; its last one may be a failed assertion.
    said = f": {error.lines[0].strip()}" if error.lines else ""
    if error.late:
        return f"{DEVICE} exists, but a guest hangs before its kernel's first line{said}"
    return f"{DEVICE} exists, but a guest ends at once{said}"
