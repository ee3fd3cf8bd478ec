"""The links between a data root and its run folder: each names the other.

The shims of running containers are found in the run folder.  A daemon with another run folder would
consider these containers lost, and a daemon with another data root would remove their sockets.
"""

import contextlib
import os

from labkit.containers.records.records import Records
from labkit.errors import ConflictError
from labkit.paths import Paths
from labkit.runtime.launch import connect

RUN_LINK = "run"
ROOT_LINK = "root"


def join(paths: Paths, records: Records) -> None:
    """Link the data root and the run folder to each other; `paths` are real paths.

    ConflictError if containers run that belong to one of them but not to the other.
    """
    run, root = _read(f"{paths.root}/{RUN_LINK}"), _read(f"{paths.run}/{ROOT_LINK}")
    if run not in ("", paths.run) and any(map(records.is_held, records.ids())):
        raise ConflictError(
            f"containers of {paths.root} run with the run folder {run}: start labkitd with "
            f"--run {run}, or end them first"
        )
    if root not in ("", paths.root) and _has_shim(paths):
        raise ConflictError(
            f"the run folder {paths.run} belongs to the engine with the data root {root}, whose "
            "containers run: choose another with --run"
        )
    _point(f"{paths.root}/{RUN_LINK}", paths.run)
    _point(f"{paths.run}/{ROOT_LINK}", paths.root)


def _read(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _has_shim(paths: Paths) -> bool:
    for container_id in os.listdir(f"{paths.run}/containers"):
        if (found := connect(paths.container_run(container_id))) is not None:
            connection, _, names_fds = found
            connection.close()
            for fd in names_fds:
                os.close(fd)
            return True
    return False


def _point(link: str, target: str) -> None:
    if _read(link) == target:
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    with contextlib.suppress(OSError):  # on a full disk the pair is checked when the link exists
        os.symlink(target, link)
