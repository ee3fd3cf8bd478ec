"""Names of images, as Docker reads and shows them: `busybox` is `docker.io/library/busybox:latest`.

The grammar is in `labkit.dialect.references`, which the command line uses too; the messages are
Docker's, so that a search engine finds them.
"""

import re
from typing import NamedTuple

from labkit.dialect.references import DEFAULT_DOMAIN, DEFAULT_TAG, split
from labkit.errors import InvalidParameterError

ID_DIGITS = 64
DIGEST_ALGORITHMS = ("sha256", "sha384", "sha512")

_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


class Reference(NamedTuple):
    """One name of an image in its parts; after parsing it has a tag or a digest, never both."""

    domain: str
    path: str
    tag: str
    digest: str = ""

    @property
    def repository(self) -> str:
        """The name without tag as people write it: `busybox`, `localhost:5000/tool`."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def familiar(self) -> str:
        """The whole name as people write it: `busybox:latest`, `busybox@sha256:…`."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """Parse a name; without tag and digest it has the tag `latest`, with both only the digest.

    Raises `InvalidParameterError` in Docker's words for anything else.
    """
    domain, path, tag, digest = split(text)
    return Reference(domain, path, "" if digest else tag or DEFAULT_TAG, digest)


def parse_tag(text: str) -> Reference:
    """Parse a new name for an image: one without a digest."""
    name = parse(text)
    if name.digest:
        raise InvalidParameterError("refusing to create a tag with a digest reference")
    if name.repository in DIGEST_ALGORITHMS:
        raise InvalidParameterError(
            "refusing to create an ambiguous tag using digest algorithm as name"
        )
    return name


def repository_of(familiar: str) -> str:
    """Return the repository of a whole name: `busybox` of `busybox:latest`, `busybox@sha256:…`."""
    return familiar.partition("@")[0] if is_digest(familiar) else familiar.rpartition(":")[0]


def is_digest(familiar: str) -> bool:
    """Whether a whole name ends with a digest rather than with a tag."""
    return "@" in familiar


def id_prefix(text: str) -> str:
    """Return the hexadecimal digits if `text` can begin an image's id, else ""."""
    match = _ID_PREFIX.fullmatch(text)
    return match[1] if match else ""


def is_whole_id(text: str) -> bool:
    """Whether `text` is an image's whole id, which no name can be."""
    return len(id_prefix(text)) == ID_DIGITS
