"""Capabilities: root's power in parts (capabilities(7)), capset(2), the bounding set."""

from collections.abc import Iterable
from ctypes import create_string_buffer
from struct import pack, unpack

from labkit.kernel import libc, processes

PR_CAPBSET_DROP = 24

NAMES = tuple(
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """.split()
)
"""Every capability, without CAP_, at the index that is its number in linux/capability.h."""

_VERSION_3 = 0x20080522


def mask(names: Iterable[str]) -> int:
    """Return the bit mask of the named capabilities; ValueError for an unknown name."""
    return sum(1 << NAMES.index(name.removeprefix("CAP_")) for name in names)


def last_capability() -> int:
    """Return the highest capability number that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def drop_from_bounding_set(keep_mask: int, last: int) -> None:
    """Drop every capability outside `keep_mask`; no later exec can gain it (prctl(2))."""
    for number in range(last + 1):
        if not keep_mask >> number & 1:
            processes.prctl(PR_CAPBSET_DROP, number)


def permitted() -> int:
    """Return the mask of the capabilities that this process has now (capget(2))."""
    header = create_string_buffer(pack("<Ii", _VERSION_3, 0))
    data = create_string_buffer(24)
    libc.call("capget", header, data)
    _, low, _, _, high, _ = unpack("<6I", data.raw[:24])
    return int(high << 32 | low)


def set_capabilities(permitted_mask: int) -> None:
    """Set this process's permitted and effective sets; nothing is inheritable (capset(2))."""
    header = create_string_buffer(pack("<Ii", _VERSION_3, 0))
    low, high = permitted_mask & 0xFFFFFFFF, permitted_mask >> 32
    data = create_string_buffer(pack("<6I", low, low, 0, high, high, 0))
    libc.call("capset", header, data)
