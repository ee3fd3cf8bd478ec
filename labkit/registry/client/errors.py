"""The errors between labkit and a registry, in words for the user.

A registry's text is untrusted and goes to a user's terminal: it is shortened, and control
characters are removed.
"""

import socket
import ssl
from urllib.parse import urlsplit

import httpx
import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import LabkitError

LONGEST_TEXT_CHARACTERS = 300


class StoppedError(LabkitError):
    """No caller waits for the result any more."""


class UnreachableError(LabkitError):
    """The registry does not answer, or fails repeatedly."""


class RegistryError(LabkitError):
    """The registry has refused: `status` is HTTP's, `code` the specification's."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code

    @property
    def is_denial(self) -> bool:
        """Whether other credentials might help."""
        return self.code in ("UNAUTHORIZED", "DENIED") or self.status in (401, 403)


class _Item(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Body(msgspec.Struct):
    """The body of an error (distribution specification, "Error Codes"), or a token service's."""

    errors: list[_Item] = []
    details: str = ""
    error: str = ""
    error_description: str = ""


_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS"}


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (
        socket.gaierror,
        "no such host. Check its name, and that this machine has a network and a name server",
    ),
    (ConnectionRefusedError, "connection refused. Is a registry running there?"),
    (
        httpx.TimeoutException,
        "no answer in time. Check that the network lets this machine through to it",
    ),
)


def printable(text: str) -> str:
    """Return an untrusted text, safe to show."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    cut = clean[:LONGEST_TEXT_CHARACTERS]
    return cut if cut == clean else f"{cut}…"


def refusal(response: httpx.Response, body: bytes) -> RegistryError:
    """Return the error for an answer; its text is in Docker's form, `code: message`."""
    status, request = response.status_code, response.request
    where = f"{request.method} {request.url.copy_with(query=None)}"
    try:
        said = msgspec.json.decode(body, type=_Body)
    except UNREADABLE:
        said = _Body()
    if said.errors:
        item = said.errors[0]
        code = item.code or _CODES.get(status, "")
        words = printable(code).replace("_", " ").lower()
        message = printable(item.message)
        return RegistryError(status, code, f"{words}: {message}" if message else words)
    code = _CODES.get(status, "")
    detail = printable(said.details or said.error_description or said.error)
    reason = f"{code.replace('_', ' ').lower()}: " if code else ""
    text = f"{reason}the registry answered {status} {printable(response.reason_phrase)} to {where}"
    return RegistryError(status, code, f"{text}: {detail}" if detail else text)


def unreachable(url: str, error: Exception) -> UnreachableError:
    """Return the error for a failed exchange with the server at `url`, with what to do."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (OSError, ssl.SSLError)):
        cause = cause.__cause__ or cause.__context__
    reason = _reason(error, cause, urlsplit(url).netloc)
    return UnreachableError(f"cannot reach the registry at {url}: {reason}")


def _reason(error: Exception, cause: BaseException | None, host: str) -> str:
    for kind, words in _REASONS:
        if isinstance(cause, kind) or isinstance(error, kind):
            return words
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message}). Put that of the authority "
            f"that signed it into certs.d/{host}/ca.crt beside daemon.json, or name {host} "
            'among the "insecure-registries" there'
        )
    if isinstance(cause, ssl.SSLError):
        return (
            f"it does not speak HTTPS ({cause.reason or cause}). If it uses plain HTTP, "
            f'name {host} among the "insecure-registries" in daemon.json'
        )
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror.lower()}. Check this machine's network"
    return printable(str(error)) or type(error).__name__
