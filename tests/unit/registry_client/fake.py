"""A registry over real HTTP that answers as a test tells it to, honestly or not."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is sent back; `cut` sends so many bytes of the body and breaks off."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    cut: int | None = None


Responder = Callable[[Asked], Answer]


class FakeRegistry:
    """`on("GET /v2/", answer, …)` scripts the answers to a path; the last one stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Answer | Responder]] = {"GET /v2/": [Answer()]}
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def on(self, line: str, *answers: Answer | Responder) -> None:
        self.answers[line] = list(answers)

    def lines(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def blob(self, data: bytes, *answers: Answer | Responder) -> str:
        """Offer a blob of library/x; its digest."""
        digest = digest_of(data)
        self.on(f"GET /v2/library/x/blobs/{digest}", *(answers or [ranged(data)]))
        return digest

    def manifest(self, document: object, *, tag: str = "1", **headers: str) -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = {"Content-Type": MANIFEST} | headers
        self.on(f"GET /v2/library/x/manifests/{tag}", Answer(body=data, headers=kind))
        return digest_of(data)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                path, _, query = self.path.partition("?")
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, path, query, headers, body)
                with fake._lock:
                    fake.asked.append(asked)
                    scripted = fake.answers.get(f"{self.command} {path}", [Answer(404)])
                    answer: Any = scripted.pop(0) if len(scripted) > 1 else scripted[0]
                if callable(answer):
                    answer = answer(asked)
                self._send(answer)

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body[: answer.cut])
                if answer.cut is not None:
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, *_: object) -> None:
                return

        return Handler


@contextmanager
def running() -> Iterator[FakeRegistry]:
    fake = FakeRegistry()
    thread = threading.Thread(target=fake.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        thread.join()
        fake.server.server_close()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def ranged(data: bytes, cut: int | None = None) -> Responder:
    """An honest answer, also to a Range; broken off after `cut` bytes."""

    def answer(asked: Asked) -> Answer:
        wanted = asked.headers.get("range", "")
        if not wanted:
            return Answer(200, data, cut=cut)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return Answer(206, data[start:], {"Content-Range": where}, cut=cut)

    return answer
