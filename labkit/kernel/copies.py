"""Copies of whole trees of files with owners, modes, times, attributes, links, devices (cp(1)).

This runs the program, because no library copies links between files, holes and attributes, and
shares blocks if the file system can (FICLONE).  It does so without `subprocess`, which the spawner
does not import.
"""

import errno
import os

_KNOWN = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)}


def copy_tree(source: str, target: str, *, link: bool = False) -> None:
    """Copy the content of the folder `source` into `target`, which is made if it is missing.

    With `link` the files are not copied but get one more name (hard links).  OSError: ENOSPC if the
    disk is full, else EIO with the first line of cp's message.
    """
    how = "--link" if link else "--reflink=auto"
    command = ["cp", "-a", how, "--remove-destination", "-T", "--", source, target]
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawnp(
            "cp",
            command,
            {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            file_actions=[(os.POSIX_SPAWN_DUP2, writer, 2)],
        )
    finally:
        os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode("utf-8", "replace").strip()
    _, status = os.waitpid(pid, 0)
    if status:
        line = said.partition("\n")[0] or f"cp ended with status {status}"
        number = next((known for text, known in _KNOWN.items() if text in said), errno.EIO)
        raise OSError(number, line, target)


def make_copy(source: str, target: str) -> None:
    """Make `target` a copy of the folder `source`, in one step, unless it exists; OSError."""
    if os.path.isdir(target):
        return
    # An interrupted copy has the same source, so it is completed.
    copy_tree(source, f"{target}.new")
    os.rename(f"{target}.new", target)
