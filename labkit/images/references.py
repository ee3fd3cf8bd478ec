"""Names of images, as Docker reads and shows them: `busybox` is `docker.io/library/busybox:latest`.

The grammar is that of the distribution project's reference package; the words of the errors are
Docker's, so that what a learner reads here is what a search engine knows.
"""

import re
from typing import NamedTuple

from labkit.errors import InvalidParameterError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_MAX_CHARACTERS = 255
ID_DIGITS = 64

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(
    rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII
)
_PATH = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


class Reference(NamedTuple):
    """One name of an image, taken apart; after parsing it has a tag or a digest, never both."""

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
    """Read a name; without tag and digest it means the tag `latest`, with both the digest counts.

    Raises `InvalidParameterError` in Docker's words when it is not a name.
    """
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidParameterError(f'invalid reference format: "{digest}" is no sha256 digest')
    if _HEX64.fullmatch(name):
        raise InvalidParameterError(
            f"invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"
        )
    name, tag = _split_tag(name)
    domain, path = _split_domain(name)
    _check_name(domain, path, text)
    return Reference(domain, path, "" if digest else tag or DEFAULT_TAG, digest)


def parse_tag(text: str) -> Reference:
    """Read a name that an image shall be given: one without a digest."""
    name = parse(text)
    if name.digest:
        raise InvalidParameterError("refusing to create a tag with a digest reference")
    return name


def repository_of(familiar: str) -> str:
    """The repository of a whole name: `busybox` of `busybox:latest` and of `busybox@sha256:…`."""
    return familiar.partition("@")[0] if is_digest(familiar) else familiar.rpartition(":")[0]


def is_digest(familiar: str) -> bool:
    """Whether a whole name ends with a digest rather than with a tag."""
    return "@" in familiar


def id_prefix(text: str) -> str:
    """The hexadecimal digits when `text` can be an image's id or its beginning, else ""."""
    match = _ID_PREFIX.fullmatch(text)
    return match[1] if match else ""


def is_whole_id(text: str) -> bool:
    """Whether `text` is an image's whole id, which no name can be."""
    return len(id_prefix(text)) == ID_DIGITS


def _split_tag(name: str) -> tuple[str, str]:
    """Cut the tag off; a colon before the last slash is a registry's port."""
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, ""
    if not _TAG.fullmatch(tag):
        raise InvalidParameterError(
            f'invalid reference format: "{tag}" is no tag (at most 128 letters, digits and _ . -, '
            "and not . or - first)"
        )
    return before, tag


def _split_domain(name: str) -> tuple[str, str]:
    """The registry and the path: the first part is a registry when it looks like a host name."""
    first, slash, rest = name.partition("/")
    looks_like_host = "." in first or ":" in first or first == "localhost" or first.lower() != first
    if not slash or not looks_like_host:
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = first, rest
    if domain == f"index.{DEFAULT_DOMAIN}":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check_name(domain: str, path: str, text: str) -> None:
    if not path.removeprefix("library/"):
        raise InvalidParameterError(f'invalid reference format: "{text}" names no image')
    if _DOMAIN.fullmatch(domain) and _PATH.fullmatch(path.lower()) and path != path.lower():
        raise InvalidParameterError(
            f"invalid reference format: repository name ({path}) must be lowercase"
        )
    if not _PATH.fullmatch(path) or not _DOMAIN.fullmatch(domain):
        raise InvalidParameterError(f'invalid reference format: "{text}"')
    if len(domain) + 1 + len(path) > NAME_MAX_CHARACTERS:
        raise InvalidParameterError(
            f"repository name must not be more than {NAME_MAX_CHARACTERS} characters"
        )
