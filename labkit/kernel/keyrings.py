"""Session keyrings: where the kernel keeps a login session's keys (keyrings(7), keyctl(2))."""

from ctypes import c_char_p, c_int

from labkit.kernel import libc

KEYCTL_JOIN_SESSION_KEYRING = 1


def join_session_keyring(name: str) -> None:
    """Leave the session keyring that was inherited for the one of this name, made if need be."""
    libc.syscall(
        "keyctl",
        libc.SYS_KEYCTL,
        c_int(KEYCTL_JOIN_SESSION_KEYRING),
        c_char_p(name.encode()),
    )
