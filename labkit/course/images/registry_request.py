"""A request to a registry: its object, its meaning, and the number of its bytes."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs

from labkit.course.images.blob_tree import SHORT_DIGITS

_BLOB = re.compile(r"/v2/(.+)/blobs/sha256:([0-9a-f]{12})[0-9a-f]*")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(.*)")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")
MEANINGS = {
    ("HEAD", "blob", True): "the {blob}: is it there? yes",
    ("HEAD", "blob", False): "the {blob}: is it there? no",
    ("GET", "blob", True): "the {blob} is fetched",
    ("POST", "mount", True): "the {blob} is taken over from there",
    ("POST", "upload", True): "where may it be sent?",
    ("PUT", "upload", True): "the {blob} is sent",
    ("GET", "manifest", True): "the manifest is fetched",
    ("PUT", "manifest", True): "the manifest is sent, under its tag",
    ("GET", "registry", True): "is there a registry?",
    ("GET", "registry", False): "who are you?",
    ("GET", "token", True): "a password for a token",
}
REFUSED = "refused"
UNAUTHORIZED = 401


class Request(NamedTuple):
    """One request.  `went_bytes` are those of its body, `came_bytes` those of the answer's."""

    method: str
    kind: str
    """`registry`, `blob`, `upload`, `mount`, `manifest`, `token`, or else `page`."""
    what: str
    status: int
    went_bytes: int
    came_bytes: int
    blob: str = "blob"
    """The kind of its blob, if known: `config`, `layer`."""

    @property
    def meaning(self) -> str:
        """The purpose and the result, in a few words."""
        if self.status == UNAUTHORIZED:
            return MEANINGS["GET", "registry", False]
        key = (self.method, self.kind, self.status < 400)
        words = MEANINGS.get(key, REFUSED if self.status >= 400 else "")
        return words.format(blob=self.blob)


class Talk(NamedTuple):
    """The requests of one command."""

    name: str
    requests: tuple[Request, ...]

    @property
    def went_bytes(self) -> int:
        """The bytes in bodies to the registry."""
        return sum(one.went_bytes for one in self.requests)

    @property
    def came_bytes(self) -> int:
        """The bytes in bodies from the registry."""
        return sum(one.came_bytes for one in self.requests)

    def of(self, method: str, kind: str, status: int) -> list[str]:
        """The objects of such requests."""
        wanted = (method, kind, status)
        return [one.what for one in self.requests if (one.method, one.kind, one.status) == wanted]


def about(target: str) -> tuple[str, str]:
    """The kind of a registry's URL, and its blob or tag, with digests cut short.

    >>> about("/v2/shelf/one/manifests/latest")
    ('manifest', 'shelf/one:latest')
    """
    path, _, query = target.partition("?")
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    if found := _BLOB.fullmatch(path):
        return "blob", found[2]
    if _UPLOAD.fullmatch(path):
        if "mount" in fields:
            return "mount", f"{_short(fields['mount'])} from {fields.get('from', '?')}"
        return "upload", _short(fields.get("digest", ""))
    if found := _MANIFEST.fullmatch(path):
        repository, reference = found.groups()
        digest = reference.startswith("sha256:")
        return "manifest", f"{repository}{'@' if digest else ':'}{_short(reference)}"
    if path == "/v2/":
        return "registry", ""
    return ("token", "") if path == "/token" else ("page", path)


def _short(digest: str) -> str:
    """The first digits of a digest; a tag is returned unchanged."""
    is_digest = digest.startswith("sha256:")
    return digest.removeprefix("sha256:")[:SHORT_DIGITS] if is_digest else digest
