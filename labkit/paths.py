"""The places of labkit's files: the data root, the run folder, the socket."""

import os
import stat

DEFAULT_ROOT = "/var/lib/labkit"
DEFAULT_RUN = "/run/labkit"
SET_ASIDE = "set-aside"
"""The folder of the data root for records that could not be read (labkit.set_aside)."""


HOLDER_SOCKET = "holder.sock"
"""The socket, in the run folder, of the holder of an engine without root (labkit.rootless)."""
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_sbin() -> None:
    """Let this process find the administrator's programs (nft, mkfs.ext4) with any PATH.

    A user who becomes root with Debian's plain `su` keeps a PATH without these folders.
    """
    found = os.environ.get("PATH", os.defpath).split(":")
    os.environ["PATH"] = ":".join([*found, *(folder for folder in SBIN if folder not in found)])


def user_config(folder: str = "") -> str:
    """Return the path of the user's `config.json`: in `folder`, `$LABKIT_CONFIG` or `~/.labkit`."""
    given = folder or os.environ.get("LABKIT_CONFIG") or "~/.labkit"
    return os.path.join(os.path.expanduser(given), "config.json")


class Paths:
    """The two folders of all files; tests use their own, so that they run side by side.

    `root` holds what survives a reboot (images, layers, containers; mode 0700), `run` what does not
    (sockets, process ids).
    """

    __slots__ = ("root", "run")

    def __init__(self, root: str, run: str) -> None:
        self.root = root
        self.run = run

    @classmethod
    def from_environment(cls, root: str | None = None, run: str | None = None) -> "Paths":
        """Return the given folders, else `LABKIT_ROOT` and `LABKIT_RUN`, else the usual ones."""
        usual = _usual()
        return cls(
            os.path.abspath(root or os.environ.get("LABKIT_ROOT") or usual[0]),
            os.path.abspath(run or os.environ.get("LABKIT_RUN") or usual[1]),
        )

    @property
    def socket(self) -> str:
        """The Docker API's Unix socket."""
        return f"{self.run}/labkit.sock"

    @property
    def docker_socket(self) -> str:
        """The same socket of an engine without root, under Docker's name."""
        return f"{self.run}/docker.sock"

    def container_root(self, container_id: str) -> str:
        """Return the folder of a container's record, writable layer and log."""
        return f"{self.root}/containers/{container_id}"

    def container_run(self, container_id: str) -> str:
        """Return the folder of a running container's shim socket and process ids."""
        return f"{self.run}/containers/{container_id}"


def _usual() -> tuple[str, str]:
    """Return root's folders for root and for users of root's engine, else the user's own.

    The user's own are those of the XDG Base Directory Specification.
    """
    if os.geteuid() == 0 or os.access(f"{DEFAULT_RUN}/labkit.sock", os.W_OK):
        return DEFAULT_ROOT, DEFAULT_RUN
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    run = os.environ.get("XDG_RUNTIME_DIR") or f"{data}/labkit-run"
    return f"{data}/labkit", f"{run}/labkit"


def refuse_foreign(folder: str) -> None:
    """Raise PermissionError if another user could listen, or put files, in the run folder."""
    status = os.stat(folder)
    why = ""
    if status.st_uid != os.geteuid():
        why = f"it belongs to user {status.st_uid}: name your own folder"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"other users may write in it: chmod go-w {folder}"
    if why:
        raise PermissionError(f"labkitd does not use the run folder {folder}, {why}")
