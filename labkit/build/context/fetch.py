"""Fetching a URL, for ADD and for a context on another machine.

HTTP and HTTPS alone: no URL, and no redirection, may make the daemon read one of its files.
"""

import hashlib
import http.client
import posixpath
import re
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from labkit.dialect import trust
from labkit.errors import InvalidParameterError

SIZE_LIMIT_BYTES = 4 << 30
SILENCE_TIMEOUT_S = 30.0
WHOLE_TIMEOUT_S = 1800.0
CHUNK_BYTES = 1 << 18
MODE = 0o600
"""As Docker has it for what ADD has fetched."""

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


class Fetched:
    """The content of a URL, in a file without a name; to be closed."""

    def __init__(self, file: BinaryIO, size_bytes: int, mtime_s: int, name: str) -> None:
        self.file = file
        self.size_bytes = size_bytes
        self.mtime_s = mtime_s
        """When it was last changed, as its server says; 0 if it does not."""
        self.name = name
        """The name for a file of it; empty if neither its path nor the server gives one."""

    def chunks(self) -> Iterator[bytes]:
        """Its content, from the beginning."""
        self.file.seek(0)
        while piece := self.file.read(CHUNK_BYTES):
            yield piece

    def as_archive(self, name: str) -> Iterator[bytes]:
        """It as an archive with one file, which is then closed."""
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = self.size_bytes, self.mtime_s, MODE
        with self.file:
            yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            yield from self.chunks()
            yield bytes(-member.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def fetch(
    url: str, folder: str, checksum: str = "", check: Callable[[], None] = lambda: None
) -> Fetched:
    """Fetch a URL; InvalidParameterError says what went wrong with it.

    `check` is called now and then, and raises if the file is no longer wanted.
    """
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise InvalidParameterError(f"--checksum={checksum}: it must be sha256: and 64 digits")
    file = tempfile.TemporaryFile(dir=folder)
    try:
        with _opener().open(url, timeout=SILENCE_TIMEOUT_S) as answer:
            found = _receive(url, answer, file, check)
            size, digest = found
            changed = _changed(answer.headers.get("Last-Modified", ""))
            name = _name(url, answer.headers.get_filename(""))
    except (OSError, http.client.HTTPException, ValueError) as error:
        file.close()
        raise InvalidParameterError(f"cannot fetch {url}: {_reason(error)}") from None
    except BaseException:
        file.close()
        raise
    if checksum and digest != checksum:
        file.close()
        raise InvalidParameterError(f"digest mismatch of {url}: it is {digest}, not {checksum}")
    return Fetched(file, size, changed, name)


def _reason(error: Exception) -> str:
    """Return the fault in one line, without the number of an errno."""
    why = getattr(error, "reason", "") or error
    words = str(getattr(why, "strerror", "") or why).partition("\n")[0]
    return f"{error.code} {words}" if isinstance(error, urllib.error.HTTPError) else words


def _name(url: str, disposition: str) -> str:
    """The last part of the URL's path, else what the Content-Disposition says."""
    names = (posixpath.basename(path) for path in (unquote(urlsplit(url).path), disposition))
    return next((name for name in names if name not in ("", ".", "..")), "")


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=trust.of_the_system()),
        urllib.request.HTTPRedirectHandler(),  # to FTP there is no handler
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "labkit")]
    return opener


def _receive(
    url: str, answer: http.client.HTTPResponse, file: BinaryIO, check: Callable[[], None]
) -> tuple[int, str]:
    """Size and digest of the body, which is written to the file."""
    deadline = time.monotonic() + WHOLE_TIMEOUT_S
    size, digest = 0, hashlib.sha256()
    while piece := answer.read1(CHUNK_BYTES):
        check()
        size += len(piece)
        if size > SIZE_LIMIT_BYTES:
            raise InvalidParameterError(f"{url} is larger than {SIZE_LIMIT_BYTES >> 30} GiB")
        if time.monotonic() > deadline:
            raise InvalidParameterError(f"{url} takes longer than {WHOLE_TIMEOUT_S:g} s")
        digest.update(piece)
        file.write(piece)
    if answer.length:
        raise InvalidParameterError(f"{url} ended {answer.length} bytes too early")
    return size, f"sha256:{digest.hexdigest()}"


def _changed(header: str) -> int:
    """A Last-Modified header as seconds since 1970; 0 if it cannot be read."""
    try:
        return max(int(parsedate_to_datetime(header).timestamp()), 0)
    except (TypeError, ValueError):
        return 0
