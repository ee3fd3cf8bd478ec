"""Names of images, split by one grammar for the command line and for the daemon.

The grammar is that of the distribution project's reference package, except that an upper-case first
part is never taken for a registry: `Foo/x` is an error.  Both sides must agree on the registry,
because it decides which password the command line sends.
"""

import re

from labkit.dialect.numbers import whole
from labkit.errors import InvalidParameterError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_INDEX = f"https://index.{DEFAULT_DOMAIN}/v1/"
"""The key of the credentials for the default registry; Docker's word."""
DEFAULT_NAMES = ("", DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}", f"registry-1.{DEFAULT_DOMAIN}")
DEFAULT_TAG = "latest"
NAME_MAX_CHARACTERS = 255
LABEL_MAX_CHARACTERS = 63
"""The limit for one part of a host's name (RFC 1035, section 2.3.4)."""

# The patterns stay text: `re` compiles each at its first use, so that a command without a name does
# not pay for them.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = rf"{_PART}(?:/{_PART})*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_HEX64 = r"[0-9a-f]{64}"


def split(text: str) -> tuple[str, str, str, str]:
    """Split a name: registry, path, tag and digest; tag and digest are "" if absent.

    `busybox` is `docker.io` and `library/busybox`.  Raises `InvalidParameterError` in Docker's
    words for anything that is not a name.
    """
    name, at, digest = text.partition("@")
    if at and not _matches(_DIGEST, digest):
        raise InvalidParameterError(f'invalid reference format: "{digest}" is not a sha256 digest')
    if _matches(_HEX64, name):
        raise InvalidParameterError(
            f"invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"
        )
    name, tag = _split_tag(name)
    domain, path = _split_domain(name)
    _check_name(domain, path, text)
    return domain, path, tag, digest


def check_domain(domain: str) -> None:
    """Raise `InvalidParameterError` unless this is a registry's host, with a port or without."""
    host, colon, port = domain.partition(":") if domain[:1] != "[" else domain.rpartition(":")
    has_port = bool(colon) and "]" not in port
    if (
        not _matches(_DOMAIN, domain)
        or (has_port and whole(port, 1, 65535) is None)
        or (domain[0] != "[" and max(map(len, host.split("."))) > LABEL_MAX_CHARACTERS)
    ):
        raise InvalidParameterError(
            f'"{domain[:60]}" is not a registry: a host is needed, such as registry.example:5000'
        )


def domain_of(name: str) -> str:
    """Return the registry of a name; InvalidParameterError as for `split`."""
    return split(name)[0]


def is_tagged(name: str) -> bool:
    """Whether a name has a tag or a digest."""
    return "@" in name or ":" in name.rpartition("/")[2]


def canonical(name: str) -> str:
    """Return the whole name: `docker.io/library/busybox:latest`; errors as for `split`."""
    domain, path, tag, digest = split(name)
    tag = tag or ("" if digest else DEFAULT_TAG)
    return f"{domain}/{path}" + (tag and f":{tag}") + (digest and f"@{digest}")


def repository(name: str) -> str:
    """Return the whole name without tag and digest: `docker.io/library/busybox`."""
    domain, path, _, _ = split(name)
    return f"{domain}/{path}"


def server_of(address: str) -> str:
    """Return the key of the credentials for a server: its host, or the default index."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_INDEX if host in DEFAULT_NAMES else host


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _split_tag(name: str) -> tuple[str, str]:
    """Cut the tag off; a colon before the last slash is a registry's port."""
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, ""
    if not _matches(_TAG, tag):
        raise InvalidParameterError(
            f'invalid reference format: "{tag}" is not a tag (at most 128 letters, digits and '
            "_ . -, and not . or - first)"
        )
    return before, tag


def _split_domain(name: str) -> tuple[str, str]:
    """Return registry and path: the first part is a registry if it looks like a host name."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, path = first, rest
    else:
        domain, path = DEFAULT_DOMAIN, name
    if domain == f"index.{DEFAULT_DOMAIN}":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check_name(domain: str, path: str, text: str) -> None:
    if not path.removeprefix("library/"):
        raise InvalidParameterError(f'invalid reference format: "{text}" names no image')
    if len(domain) + 1 + len(path) > NAME_MAX_CHARACTERS:
        raise InvalidParameterError(
            f"repository name must not be more than {NAME_MAX_CHARACTERS} characters"
        )
    if not _matches(_DOMAIN, domain):
        raise InvalidParameterError(f'invalid reference format: "{text}"')
    if not _matches(_PATH, path):
        if path != path.lower() and _matches(_PATH, path.lower()):
            raise InvalidParameterError(
                f"invalid reference format: repository name ({path}) must be lowercase"
            )
        raise InvalidParameterError(f'invalid reference format: "{text}"')
