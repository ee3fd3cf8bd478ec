"""The owner of a learner's folder: the person who called, also through sudo.

Root's JupyterLab makes files in that folder, and a user may make links there.  So labkit writes
pages with the rights of that person alone (credentials(7)), and gives away only plain files and
folders of root that have no second name.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from labkit.errors import InvalidParameterError


def caller() -> pwd.struct_passwd | None:
    """Return the person who called sudo; None without sudo."""
    uid, name = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_USER", "")
    if os.geteuid():
        return None
    with suppress(KeyError):
        found = pwd.getpwuid(int(uid)) if uid.isdecimal() else pwd.getpwnam(name)
        return found if found.pw_uid else None
    return None


def name() -> str:
    """Return the caller's name as a user, "learner" if the environment has none."""
    person = caller()
    return person.pw_name if person else os.environ.get("USER") or "learner"


def home() -> str:
    """Return the caller's home."""
    person = caller()
    return person.pw_dir if person else os.path.expanduser("~")


@contextmanager
def acting() -> Iterator[None]:
    """Create and write files as the caller until the block ends; for a process of one thread."""
    person = caller()
    if person is None:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.initgroups(person.pw_name, person.pw_gid)
    os.setegid(person.pw_gid)
    os.seteuid(person.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


RECORD = ".released.json"
"""The file that marks a learner's folder: for each page, the digest of its last release."""


def make_folder(folder: str) -> None:
    """Make a folder that the caller may write in, or take it as it is.

    An empty folder, or a learner's folder, is given to the caller, with root's files in it.
    InvalidParameterError if the caller may not have a folder there.
    """
    person = caller()
    try:
        with acting():
            os.makedirs(folder, exist_ok=True)
    except PermissionError:  # root may make it, and may have made it before
        _make(folder)
    except OSError as error:
        raise _no_folder(folder, error) from error
    give(folder)
    with acting():
        may_write = os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
    if not may_write:
        raise InvalidParameterError(
            f"{person.pw_name if person else name()} may not write in {folder}: choose another "
            "folder (--folder), or change its owner"
        )


def _make(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise _no_folder(folder, error) from error


def _no_folder(folder: str, error: OSError) -> InvalidParameterError:
    return InvalidParameterError(
        f"{folder} cannot be a learner's folder: {error.strerror}; choose another (--folder)"
    )


def give(folder: str) -> None:
    """Give the caller what root has made in an empty folder or in a learner's folder.

    Only plain files and folders on the folder's own file system; nothing without sudo.
    """
    person, inside = caller(), os.listdir(folder)
    if person is None or (inside and RECORD not in inside):
        return
    device = os.stat(folder, follow_symlinks=False).st_dev
    for _, names, files, at in os.fwalk(folder):
        if os.fstat(at).st_dev != device:
            names.clear()
            continue
        for each in (".", *files):
            with suppress(OSError):
                _give_one(each, at, device, person)


def _give_one(name: str, at: int, device: int, person: pwd.struct_passwd) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        found = os.fstat(fd)
        is_folder = stat.S_ISDIR(found.st_mode)
        is_plain = is_folder or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        if is_plain and found.st_uid == 0 and found.st_dev == device:
            os.fchown(fd, person.pw_uid, person.pw_gid)
    finally:
        os.close(fd)


if __name__ == "__main__":
    give(sys.argv[1])
