"""Whether virtual machines run on this machine's processor, which only a machine can tell.

`/dev/kvm` may be there, open, and hand out virtual machines that never run a line: in a virtual
machine whose host does not really pass the processor's help on, for example.
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
"""With KVM a kernel says its first line within half a second."""


@functools.cache
def trouble() -> str:
    """Why virtual machines must be emulated here; "" if a kernel starts with KVM's help.

    Tried with a guest, for `TRIAL_S` at most, and remembered for as long as the process lives.
    Raises `NotFoundError` when there is no QEMU or no kernel to try it with.
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
    # QEMU says what is wrong first, and its last line may be a failed assertion.
    said = f": {error.lines[0].strip()}" if error.lines else ""
    if error.late:
        return f"{DEVICE} is there, but a guest hangs, without a line of its kernel{said}"
    return f"{DEVICE} is there, but a guest ends at once{said}"
