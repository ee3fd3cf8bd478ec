"""Copying into an image's files (COPY and ADD of a Dockerfile), inside the worker."""

import os
from collections.abc import Sequence

from labkit.containers.trees.unpacking import Placer
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import ArchiveReader, Member
from labkit.runtime import operations as op

FOLDER, FILE = "folder", "file"
"""The kinds of a source; of a folder the content is copied."""

Owner = tuple[int, int] | None


class Copier(Placer):
    """Unpacks the archive of a build's sources; each name begins with the number of its source."""

    def __init__(self, place: str, kinds: Sequence[str], *, owner: Owner) -> None:
        """`place`: the target path from the root; a slash at its end makes it a folder."""
        super().__init__("", keep_kinds=False, owner=owner)
        self._kinds = kinds
        real = os.path.realpath(place)
        was_there = os.path.isdir(real)
        self._is_into = was_there or place.endswith("/")
        self._real = real.rstrip("/")
        if FILE in kinds:
            make_folders(real if self._is_into else os.path.dirname(real), owner)
        if FOLDER in kinds:
            make_folders(real, owner)

    def _unpack_member(self, reader: ArchiveReader, member: Member) -> None:
        number, _, name = member.name.partition("/")
        if self._kinds[int(number)] == FILE and not self._is_into:
            self.top, member.name = "", self._real
        else:
            self.top, member.name = self._real, name
        member.linkname = member.linkname.partition("/")[2] if member.islnk() else member.linkname
        super()._unpack_member(reader, member)


def make_folders(path: str, owner: Owner) -> None:
    """Make a folder and its missing parents; the new ones belong to `owner`."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            raise BadArchiveError(
                f"cannot copy to {folder}: it exists and is not a folder"
            ) from None
        if owner is not None:
            os.chown(folder, *owner)


def owner_of(text: str) -> Owner:
    """Look up `user[:group]`, given by names or numbers, in this root.

    Without a group it is the user's own; for a user's number it is the same number.
    """
    if not text:
        return None
    user, _, group = text.partition(":")
    if not group and user.isdecimal():
        group = user
    context = op.Context((-1, -1, -1), {})
    try:
        op.LookUpUser(f"{user}:{group}" if group else user).execute(context)
    except OSError as error:
        raise BadArchiveError(f"--chown={text}: {error.strerror}") from None
    return context.uid, context.gid
