"""Loading a system call filter into the calling process (seccomp(2)).

The daemon makes the program by `labkit.kernel.seccomp_profile`: a filter is only an array of 8-byte
BPF instructions, and loading it needs no library.
"""

from ctypes import Structure, byref, c_char_p, c_uint, c_ulong, c_ushort, cast, create_string_buffer

from labkit.kernel import libc

SECCOMP_SET_MODE_FILTER = 1
INSTRUCTION_SIZE = 8


class _Program(Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", c_ushort), ("filter", c_char_p))


def load(program: bytes) -> None:
    """Filter every later system call of this process and its children; there is no way back.

    Needs CAP_SYS_ADMIN in the process's user namespace or the no_new_privs bit.
    """
    buffer = create_string_buffer(program, len(program))
    header = _Program(len(program) // INSTRUCTION_SIZE, cast(buffer, c_char_p))
    libc.syscall(
        "seccomp", libc.SYS_SECCOMP, c_uint(SECCOMP_SET_MODE_FILTER), c_ulong(0), byref(header)
    )
