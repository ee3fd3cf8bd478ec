"""Unpacking an archive into a container's files (`docker cp` to a container), in the worker."""

import stat

from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import Member
from labkit.images.archives.unpacker import Unpacker, kind_of


class Placer(Unpacker):
    """Unpacks below a folder that may have content: folders are merged, files replaced.

    Unlike in a layer's archive, a name that begins with `.wh.` has no special meaning.
    """

    def __init__(self, top: str, *, keep_kinds: bool, owner: tuple[int, int] | None) -> None:
        super().__init__(lowest=True, top=top)
        self.keep_kinds = keep_kinds
        """Refuse to replace a folder by a file, or a file by a folder."""
        self.owner = owner
        """The owner of the unpacked files; None for the ids in the archive."""

    def is_whiteout(self, name: str) -> bool:
        """Always False: this archive has no whiteouts."""
        return False

    def prepare(self, member: Member, path: str) -> None:
        """Raise for a member that would replace a file or folder that must stay."""
        if path.endswith("/") and not member.isdir():
            raise BadArchiveError("the folder that is unpacked into cannot be replaced")
        found = kind_of(path)
        if self.keep_kinds and found and stat.S_ISDIR(found) != member.isdir():
            there, new = (
                ("directory", "non-directory")
                if stat.S_ISDIR(found)
                else (
                    "non-directory",
                    "directory",
                )
            )
            raise BadArchiveError(f"cannot overwrite {there} with {new}")
        if self.owner is not None:
            member.uid, member.gid = self.owner
