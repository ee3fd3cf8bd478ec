"""The C library, loaded once, and the way to call it: a failure is an `OSError`.

`ctypes.PyDLL` keeps the interpreter's lock during the call.  The calls here are short, and a child
of a raw clone() must find the lock in the state of its parent.
"""

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Numbers of calls without a wrapper in glibc 2.36.  x86-64 and arm64 share those above 424; older
# numbers differ (arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h).
_X86_64 = os.uname().machine == "x86_64"
SYS_CLONE = 56 if _X86_64 else 220
SYS_PIVOT_ROOT = 155 if _X86_64 else 41
SYS_SECCOMP = 317 if _X86_64 else 277
SYS_KEYCTL = 250 if _X86_64 else 219
SYS_BPF = 321 if _X86_64 else 280
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436


def fail(text: str, path: str | None = None) -> OSError:
    """Return the `OSError` for the C library's errno: `text` names the call, `path` its object."""
    number = ctypes.get_errno()
    return OSError(number, f"{text}: {os.strerror(number)}", path)


def syscall(name: str, number: int, *arguments: object, path: str | None = None) -> int:
    """Make a system call by number; OSError if it returns -1 (man 2 syscall)."""
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result == -1:
        raise fail(name, path)
    return result


def call(name: str, *arguments: object, path: str | None = None) -> int:
    """Call a function of the C library; OSError if it returns -1."""
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        raise fail(name, path)
    return result
