"""Messages on a shim's socket: broken off, no messages at all, and well-formed ones that are odd.

Only root can open the socket; what is held here is that a defect or a version of labkitd that
speaks otherwise takes no container along.  A marshalled list of 2³¹ entries is left out: the
interpreter makes it before anybody can refuse it.
"""

import marshal
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from struct import pack

from labkit.kernel import messages
from tests.fuzz.runner import FindingError, resident_bytes
from tests.lab import Lab, running_lab

KINDS = ("attach", "resize", "exec", "names", "nosuch", "", None, 7, ("a",))
VALUES = (
    *(None, 0, -1, 2**70, 1.5, "", "a" * 5000, b"", b"\xff", True, (), ("a", ()), [], {}, {"a": 1}),
    *([True, True, True, b""], [["true"], {}, "/", None], "\ud800"),
)
GARBAGE = b"NTFSi\x00\x01\xffzZusaA\xe9\xf3r"
"""What bodies that are not marshalled are made of: nothing that announces a long list."""
ANSWER_MAX_S = 5.0


class Shims:
    """One container whose shim is talked to, while it prints and takes commands."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        script = "while :; do echo x; sleep 0.2; done"
        options = ("--name", "busy", "--network", "none", "--log-opt", "max-size=64k")
        lab.cli("run", "-d", *options, "busybox", "sh", "-c", script, check=True)
        status, found = lab.api("GET", "/containers/busy/json")
        assert status == 200 and isinstance(found, dict), found
        self._pid = found["State"]["Pid"]
        self._socket = f"{lab.run}/containers/{found['Id']}/shim.sock"

    def attack(self, random: Random) -> str:
        """See `runner.Target`."""
        data, rights = _message(random)
        with messages.connect(self._socket) as shim, open(os.devnull, "rb") as null:
            fds = [null.fileno()] * rights
            with suppress(OSError):
                socket.send_fds(shim, [data], fds)
                shim.settimeout(0.05)
                shim.recv(1 << 16)
            self._judge(data)
        return "taken"

    def memory_bytes(self) -> int:
        """What the shim holds in memory: it is the parent of the first process."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return resident_bytes(fields[1])

    def _judge(self, data: bytes) -> None:
        """The shim must start a command as before, with the odd client still connected."""
        started = time.monotonic()
        done = self._lab.cli("exec", "busy", "true", timeout=20)
        if done.returncode:
            raise FindingError(f"no exec after {data[:200]!r}: {done.stderr[:200]}")
        if time.monotonic() - started > ANSWER_MAX_S:
            raise FindingError(f"the shim was held up by {data[:200]!r}")


@contextmanager
def opened() -> Iterator[Shims]:
    """A lab of the fuzzer's own."""
    with running_lab() as lab:
        yield Shims(lab)


def _message(random: Random) -> tuple[bytes, int]:
    """Some bytes to send, and how many descriptors go along."""
    value = (random.choice(KINDS), *random.choices(VALUES, k=random.randrange(4)))
    body = marshal.dumps(value, 4)
    if random.random() < 0.4:
        body = bytes(random.choices(GARBAGE, k=random.randrange(40)))
    length = random.choice((len(body), len(body), len(body) + 9, 0, 2**31, 2**32 - 1))
    data = pack("<I", length) + body
    if random.random() < 0.3:
        data = data[: random.randrange(1, len(data))]
    return data, random.choice((0, 0, 1, 2, 9))
