"""The log of requests: a line each on the terminal, and a JSON line each in a file.

Chapter 6 shows the file: each client and request, with the headers that make the protocol, and the
answer.  It contains no password and no token.
"""

import sys
import threading
import time
from typing import BinaryIO, TextIO

import msgspec

from labkit.errors import InvalidParameterError
from labkit.http.responses import FilePart, Response
from labkit.http.server import Exchange

SHOWN_REQUEST = (
    *("accept", "content-length", "content-range", "content-type", "range", "transfer-encoding"),
    *("user-agent",),
)
SHOWN_ANSWER = (
    *("Location", "Range", "Content-Range", "Docker-Content-Digest", "Link", "OCI-Subject"),
    *("OCI-Filters-Applied", "WWW-Authenticate"),
)


class Trace:
    """Records exchanges; `path` is the file, or "" for none."""

    def __init__(self, terminal: TextIO, path: str) -> None:
        self._terminal = terminal
        self._file = _open(path) if path else None
        self._lock = threading.Lock()

    def write(self, exchange: Exchange) -> None:
        """Record one exchange after its end."""
        shown = _line(exchange)
        with self._lock:
            self._terminal.write(f"{time.strftime('%H:%M:%S')} {shown}\n")
            self._terminal.flush()
            if self._file is not None:
                self._file.write(msgspec.json.encode(_record(exchange)) + b"\n")


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "ab", buffering=0)
    except OSError as error:
        raise InvalidParameterError(f"--log {path}: {error.strerror}") from None


def on_standard_error(path: str) -> Trace:
    """Return the trace of a server that runs on a terminal."""
    return Trace(sys.stderr, path)


def _line(exchange: Exchange) -> str:
    request = exchange.request
    carried = request.body.received_bytes or _sent_bytes(exchange)
    agent = request.headers.get("user-agent", "").partition(" ")[0]
    return (
        f"{_status(exchange)} {request.method:6} {_plain(request.target)}"
        f"  {carried} B  {exchange.seconds * 1000:.1f} ms  {_plain(agent)}".rstrip()
    )


def _plain(text: str) -> str:
    """Return a client's text without characters that could control a terminal."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:300])


def _record(exchange: Exchange) -> dict[str, object]:
    request, answer = exchange.request, exchange.answer
    asked = {name: request.headers[name] for name in SHOWN_REQUEST if name in request.headers}
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    if scheme:
        asked["authorization"] = f"{scheme} …"
    headers = answer.headers if isinstance(answer, Response | FilePart) else ()
    return {
        "time": time.time(),
        "method": request.method,
        "target": request.target,
        "request_headers": asked,
        "received_bytes": request.body.received_bytes,
        "status": _status(exchange),
        "response_headers": {name: value for name, value in headers if name in SHOWN_ANSWER},
        "sent_bytes": _sent_bytes(exchange),
        "seconds": round(exchange.seconds, 6),
    }


def _status(exchange: Exchange) -> int:
    answer = exchange.answer
    return answer.status if isinstance(answer, Response | FilePart) else 200


def _sent_bytes(exchange: Exchange) -> int:
    answer = exchange.answer
    if exchange.request.method == "HEAD":
        return 0
    if isinstance(answer, FilePart):
        return answer.length
    return len(answer.body) if isinstance(answer, Response) else 0
