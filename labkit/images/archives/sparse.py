"""Sparse files in the archives that labkit writes: PAX format 1.0 (GNU tar's manual, appendix D).

Docker, podman and GNU tar read this format.
"""

import tarfile

from labkit.images.archives.reader import GNU_SPARSE, Member

_NAME = "GNUSparseFile.0"
"""The folder in which a program that does not know sparse files unpacks them."""


def describe(member: Member) -> bytes:
    """Change a member's head so that only the pieces that are not holes follow.

    Returns the map that precedes them.
    """
    pieces = member.stored
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    text = "".join(f"{number}\n" for number in numbers).encode()
    text += bytes(-len(text) % tarfile.BLOCKSIZE)
    member.pax_headers = {
        **member.pax_headers,
        f"{GNU_SPARSE}major": "1",
        f"{GNU_SPARSE}minor": "0",
        f"{GNU_SPARSE}name": member.name,
        f"{GNU_SPARSE}realsize": str(member.size),
    }
    member.name = f"{_NAME}/{member.name}"[:100]
    member.size = len(text) + sum(size for _, size in pieces)
    return text
