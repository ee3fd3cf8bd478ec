"""HTTP on labkitd's socket: bytes that are nearly a request, and requests that are nearly right."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from tests.fuzz.runner import CASE_TIMEOUT_S, FindingError, resident_bytes
from tests.integration.api import test_hostile_requests as grid
from tests.lab import Lab, running_lab

LINES = (
    *(b"GET /_ping HTTP/1.1", b"POST /containers/create HTTP/1.1", b"GET /info HTTP/1.0", b"X / Y"),
    *(b"Host: a", b"Host:", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: Upgrade"),
    *(b"Upgrade: tcp", b"Upgrade: h2c", b"Expect: 100-continue", b"Content-Type: application/json"),
    *(b" folded", b"\0: \0", b"A" * 70_000, b"X-Registry-Auth: e30=", b"X-Registry-Auth: \xff"),
)
BODIES = (
    b"",
    b"{}",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"fffffffff\r\n",
    b"-1\r\n",
    b"\0" * 100,
    b"{" * 999,
)
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Requests:
    """A lab with one container that runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        options = ("--name", "busy", "--network", "none")
        lab.cli("run", "-d", *options, "busybox", "sleep", "1d", check=True)
        self._grid = [*grid.requests(), *grid.bodies()]

    def attack(self, random: Random) -> str:
        """See `runner.Target`."""
        if random.random() < 0.5:
            return self._whole(random)
        return self._bytes(random)

    def memory_bytes(self) -> int:
        """What labkitd holds in memory."""
        return resident_bytes(self._lab.daemon_pid())

    def _whole(self, random: Random) -> str:
        method, target, body = random.choice(self._grid)
        status, text = grid.ask(self._lab, method, target, body)
        if grid.is_bad(status, text):
            raise FindingError(f"{method} {target[:200]} {str(body)[:200]}: {status} {text[:300]}")
        if status == 201 and target == "/containers/create":
            grid.ask(self._lab, "DELETE", f"/containers/{json.loads(text)['Id']}?force=1&v=1", None)
        return f"request {status // 100}xx"

    def _bytes(self, random: Random) -> str:
        lines = random.choices(LINES, k=random.randrange(1, 6))
        end = random.choice((b"\r\n", b"\r\n", b"\n"))
        data = end.join([random.choice(LINES[:4]), *lines, b"", random.choice(BODIES)])
        if random.random() < 0.3:
            data = data[: random.randrange(len(data))]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(CASE_TIMEOUT_S)
            client.connect(self._lab.socket)
            answer = b""
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while part := client.recv(1 << 16):
                    answer += part
            except ConnectionError:
                pass
            except TimeoutError:
                raise FindingError(f"no end of the answer to {data[:300]!r}") from None
        found = STATUS.match(answer)
        if answer and (found is None or found[1] == b"500"):
            raise FindingError(f"{data[:300]!r}: {answer[:300]!r}")
        return f"bytes {found[1].decode()[0]}xx" if found else "bytes unanswered"


@contextmanager
def opened() -> Iterator[Requests]:
    """A lab of the fuzzer's own."""
    with running_lab() as lab:
        yield Requests(lab)
