"""The form of names, tags and digests (distribution-spec "Pulling manifests").

Every valid one can be a file's name: no `..`, no empty part, nothing hidden.
"""

import re

from labkit.registry.server.errors import RegistryError

NAME_MAX_CHARACTERS = 255

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ANY_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


def is_name(text: str) -> bool:
    """Whether a repository can have this name."""
    return len(text) <= NAME_MAX_CHARACTERS and _NAME.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it is a digest that this registry can store content under."""
    return _DIGEST.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return the repository's name; NAME_INVALID."""
    if not is_name(name):
        raise RegistryError(
            "NAME_INVALID",
            "invalid repository name: parts of small letters and digits, joined by . _ __ or -, "
            f"with / between them, {NAME_MAX_CHARACTERS} characters at most",
            {"name": name[:NAME_MAX_CHARACTERS]},
        )
    return name


def check_digest(text: str) -> str:
    """Return the digest; DIGEST_INVALID."""
    if is_digest(text):
        return text
    if _ANY_DIGEST.fullmatch(text) and not text.startswith("sha256:"):
        algorithm = text.partition(":")[0]
        message = f"this registry keeps content by its sha256 alone, not by {algorithm[:40]}"
    else:
        message = "invalid digest: sha256: and 64 hexadecimal digits (0-9a-f) were expected"
    raise RegistryError("DIGEST_INVALID", message, {"digest": text[:200]})


def check_tag(text: str) -> str:
    """Return the tag; TAG_INVALID."""
    if not _TAG.fullmatch(text):
        raise RegistryError(
            "TAG_INVALID",
            "invalid tag: at most 128 letters, digits and _ . -, and not . or - first",
            {"tag": text[:200]},
        )
    return text
