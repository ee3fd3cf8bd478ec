"""Volumes with options: `volume create -o type=tmpfs|nfs|none -o device=… -o o=…`.

Such a volume is a file system that is mounted over the volume's folder while a container uses it
(Docker's driver `local`).
"""

import contextlib
import os
import socket
from collections.abc import Mapping

from labkit.containers.given.tmpfs import MOUNT_FLAGS
from labkit.errors import InvalidParameterError, StartError
from labkit.kernel import mounts
from labkit.kernel.mounts import MS_BIND, MS_REC, MS_REMOUNT

OPTIONS = ("type", "device", "o")
NEEDED = ("type", "device")
_BINDS = {"bind": MS_BIND, "rbind": MS_BIND | MS_REC}
_NETWORK_KINDS = ("nfs", "nfs4", "cifs")


def check(options: Mapping[str, str]) -> None:
    """InvalidParameterError, in Docker's words, for options that cannot be mounted."""
    if "size" in options:
        raise InvalidParameterError(
            "quota size requested but no quota support: labkit cannot limit a volume's size; "
            "a tmpfs takes o=size=…"
        )
    for name in options:
        if name not in OPTIONS:
            raise InvalidParameterError(f'invalid option: "{name}"')
    for name in NEEDED if options else ():
        if not options.get(name):
            raise InvalidParameterError(f'missing required option: "{name}"')


def mount(folder: str, options: Mapping[str, str]) -> None:
    """Mount the file system of the options on a folder; StartError."""
    kind, device = options["type"], options["device"]
    flags, words = _flags_and_data(options.get("o", ""))
    data = ",".join(map(_resolved, words) if kind in _NETWORK_KINDS else words)
    try:
        mounts.mount(device, folder, "" if flags & MS_BIND else kind, flags, data)
        if flags & MS_BIND and flags & ~(MS_BIND | MS_REC):
            # The kernel ignores other flags in the call that binds: a remount sets them.
            mounts.mount("", folder, "", flags & ~MS_REC | MS_REMOUNT)
    except OSError as error:
        raise StartError(
            f"error while mounting volume '{folder}': failed to mount local volume: mount "
            f"{device}:{folder}, data: {data}: {error.strerror}",
            step="mount.volume",
        ) from error


def unmount(folder: str) -> None:
    """Unmount a folder; no error if it is not mounted any more."""
    with contextlib.suppress(OSError):
        mounts.unmount(folder, mounts.MNT_DETACH)


def mounted_below(base: str) -> set[str]:
    """The folders below `base` that are mount points."""
    with open("/proc/self/mountinfo") as file:
        found = mounts.parse_mountinfo(file.read())
    return {
        point.target for point in found if point.target.startswith(f"{os.path.realpath(base)}/")
    }


def _flags_and_data(text: str) -> tuple[int, list[str]]:
    """Split the words of `o=` into flags of mount(2) and options of the file system."""
    flags, others = 0, []
    for word in filter(None, text.split(",")):
        if word in _BINDS:
            flags |= _BINDS[word]
        elif word in MOUNT_FLAGS:
            sets, clears = MOUNT_FLAGS[word]
            flags = flags & ~clears | sets
        else:
            others.append(word)
    return flags, others


def _resolved(word: str) -> str:
    """Replace the name in `addr=server` by its address: the kernel does not resolve names."""
    name, _, value = word.partition("=")
    if name != "addr":
        return word
    with contextlib.suppress(OSError):
        value = str(socket.getaddrinfo(value, None, type=socket.SOCK_STREAM)[0][4][0])
    return f"addr={value}"
