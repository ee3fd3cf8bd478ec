"""One layer merged with the tree below it, so that the result is a whole tree again.

The tree below shares the files that the layer does not touch (hard links): nothing writes to an
unpacked layer.
"""

import os
import shutil
import stat

from labkit.kernel.copies import copy_tree
from labkit.snapshots.comparing import WHITEOUT, copy_looks, look

OPAQUE = ".wh..wh..opq"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def merge(tree: str, below: str) -> None:
    """Complete `tree`, a layer with deletions as `.wh.` files, by the files of `below`; OSError.

    Both are on one file system, and no other process writes to either.
    """
    whole = f"{tree}.whole"
    copy_tree(below, whole, link=True)
    layer_fd, whole_fd = os.open(tree, _FOLDER), os.open(whole, _FOLDER)
    try:
        _apply(layer_fd, whole_fd)
    finally:
        os.close(layer_fd)
        os.close(whole_fd)
    shutil.rmtree(tree)
    os.rename(whole, tree)


def _apply(layer: int, whole: int) -> None:
    names = os.listdir(layer)
    if OPAQUE in names:
        for name in os.listdir(whole):
            _remove(name, whole)
    for name in names:
        if name.startswith(WHITEOUT):
            _remove(name.removeprefix(WHITEOUT), whole)
    for name in names:
        if not name.startswith(WHITEOUT):
            _apply_one(name, layer, whole)
    copy_looks(layer, whole)


def _apply_one(name: str, layer: int, whole: int) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=layer).st_mode):
        _remove(name, whole)
        os.rename(name, name, src_dir_fd=layer, dst_dir_fd=whole)
        return
    before = look(name, whole)
    if before is None or not stat.S_ISDIR(before.st_mode):
        _remove(name, whole)
        os.mkdir(name, 0o700, dir_fd=whole)
    inner = os.open(name, _FOLDER, dir_fd=layer)
    target = os.open(name, _FOLDER, dir_fd=whole)
    try:
        _apply(inner, target)
    finally:
        os.close(inner)
        os.close(target)


def _remove(name: str, folder: int) -> None:
    found = look(name, folder)
    if found is None:
        return
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)
