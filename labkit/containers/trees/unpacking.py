"""Unpacking an archive among a container's files (`docker cp` to a container), from inside."""

import stat

from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import Member
from labkit.images.archives.unpacker import Unpacker, kind_of


class Placer(Unpacker):
    """Unpacks below a folder that may hold anything: folders are joined, files replaced.

    Unlike in a layer's archive, a name that begins with `.wh.` is a name like any other.
    """

    def __init__(self, top: str, *, keep_kinds: bool, owner: tuple[int, int] | None) -> None:
        super().__init__(lowest=True, top=top)
        self.keep_kinds = keep_kinds
        """Refuse to put a file in the place of a folder, or a folder in that of a file."""
        self.owner = owner
        """Who shall own what is unpacked, if not the numbers in the archive."""

    def is_whiteout(self, name: str) -> bool:
        """No member is."""
        return False

    def prepare(self, member: Member, path: str) -> None:
        """Refuse what must not be replaced."""
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
