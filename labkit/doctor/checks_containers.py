"""Containers, tried by the daemon that runs: a command, a name, a page outside, a published port.

One container runs a command.  A second one serves port 80, published at a free port of this
machine; inside it a name of the outside is looked up and a page of that host is read.  What fails
there is compared with this machine: a laptop without a network is no fault of labkit's.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple

from labkit.client.client import Client
from labkit.client.containers import Container
from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding, Situation
from labkit.errors import DaemonUnavailableError, LabkitError, NotFoundError

IMAGE = "busybox"
OUTSIDE = "example.com"
"""A host that anyone may name in an example, and that serves a page (RFC 2606)."""
TRIAL_S = 3
"""For a name, a page and a port, each: a slower one is of little use."""
ANSWER_S = 20.0
"""For one answer of the daemon, on a loaded machine."""
LIFE_S = 60
"""The second container ends by itself if the doctor is killed."""

NAMES = ("test container", "name lookup", "page outside", "published port")
_CONTAINER, _LOOKUP, _PAGE, _PORT = NAMES
_NOT_TRIED = "not tried: "


def check_containers(situation: Situation) -> Iterator[Finding]:
    """Each of the four, with the reason if it fails."""
    # The doctor runs before an installation too, so it needs only the standard library.
    from labkit.doctor import outward  # noqa: PLC0415

    with Client(situation.paths.socket, ANSWER_S) as client:
        first = _container(client)
        yield first
        if first.state != OK:
            return
        try:
            if situation.is_root:
                # The first container on a network changes the machine; the doctor changes nothing.
                outward.bridge(situation.paths.root)
            with _serving(client) as server, ThreadPoolExecutor() as pool:
                port = pool.submit(_port, server)
                yield from pool.map(lambda trial: trial.run(server), _outward())
                yield port.result()
        except outward.Untriable as why:
            yield from (Finding(name, UNKNOWN, f"{_NOT_TRIED}{why}") for name in NAMES[1:])
        except LabkitError as error:
            yield from (Finding(name, MISSING, str(error)) for name in NAMES[1:])


def _container(client: Client) -> Finding:
    started = time.monotonic()
    try:
        client.containers.run(IMAGE, ["true"], remove=True, network_mode="none")
    except DaemonUnavailableError:
        return Finding(_CONTAINER, UNKNOWN, f"{_NOT_TRIED}no daemon answers")
    except NotFoundError:
        why = f"there is no image {IMAGE}, which `make lab` makes"
        return Finding(_CONTAINER, UNKNOWN, f"{_NOT_TRIED}{why}")
    except LabkitError as error:
        return Finding(_CONTAINER, MISSING, str(error), required=True)
    took_ms = (time.monotonic() - started) * 1000
    return Finding(_CONTAINER, OK, f"{IMAGE} ran, in {took_ms:.0f} ms", required=True)


@contextmanager
def _serving(client: Client) -> Iterator[Container]:
    """A running container with a web server at its port 80, published at a free one."""
    server = client.containers.run(
        IMAGE,
        ["timeout", str(LIFE_S), "httpd", "-f"],
        detach=True,
        remove=True,
        ports={"80/tcp": ("127.0.0.1", None)},
    )
    try:
        server.reload()
        yield server
    finally:
        with suppress(LabkitError):
            server.remove(force=True)


class _Trial(NamedTuple):
    """A command that reaches outside of the machine, from inside of a container."""

    name: str
    good: str
    command: tuple[str, ...]
    works_here: Callable[[], bool]
    """Whether this machine does the same, without a container."""
    remedy: str

    def run(self, server: Container) -> Finding:
        """Run it in this container while this machine tries the same."""
        with ThreadPoolExecutor() as pool:
            works_here = pool.submit(self.works_here)
            try:
                done = server.exec_run(["timeout", str(TRIAL_S), *self.command])
            except LabkitError as error:
                return Finding(self.name, MISSING, str(error))
        if not done.exit_code:
            return Finding(self.name, OK, self.good)
        if not works_here.result():
            why = f"this machine itself does not reach {OUTSIDE}"
            return Finding(self.name, UNKNOWN, f"{_NOT_TRIED}{why}")
        output = done.output if isinstance(done.output, bytes) else b"".join(done.output)
        said = output.decode(errors="replace").strip().rpartition("\n")[2]
        # busybox's timeout(1) makes the program say that it was terminated.
        said = f"no answer within {TRIAL_S} s" if said in ("", "Terminated") else said
        return Finding(self.name, LIMITED, f"{self.command[0]} in a container: {said}", self.remedy)


def _finds() -> bool:
    """Whether this machine finds the address of the host outside."""
    # In another program: a lookup can wait much longer than this one may.
    command = ["timeout", str(TRIAL_S), "getent", "ahostsv4", OUTSIDE]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _reaches() -> bool:
    """Whether this machine reaches the web server of the host outside."""
    if not _finds():
        return False
    try:
        socket.create_connection((OUTSIDE, 80), TRIAL_S).close()
    except OSError:
        return False
    return True


def _outward() -> tuple[_Trial, ...]:
    page = f"http://{OUTSIDE}/"
    return (
        _Trial(
            _LOOKUP,
            f"a container finds {OUTSIDE}",
            ("nslookup", OUTSIDE),
            _finds,
            "name a server that containers reach: `dns` in daemon.json, or --dns",
        ),
        _Trial(
            _PAGE,
            f"a container reads {page}",
            ("wget", "-q", "-O", "/dev/null", page),
            _reaches,
            "see the lines of the section Network",
        ),
    )


def _port(server: Container) -> Finding:
    (place,) = server.attrs["NetworkSettings"]["Ports"]["80/tcp"]
    address = ("127.0.0.1", int(place["HostPort"]))
    shown = f"{address[0]}:{address[1]}"
    deadline = time.monotonic() + TRIAL_S
    while True:  # the web server may have only begun
        try:
            _ask(address)
        except OSError as error:
            if time.monotonic() > deadline:
                remedy = "see the lines of the section Network"
                return Finding(_PORT, LIMITED, f"{shown} does not answer: {error}", remedy)
            time.sleep(0.05)
        else:
            return Finding(_PORT, OK, f"a container answered at {shown}")


def _ask(address: tuple[str, int]) -> None:
    """Ask for a page; OSError if no web server answers."""
    with socket.create_connection(address, TRIAL_S) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if not connection.recv(16).startswith(b"HTTP/1."):
            raise ConnectionError("no web server is there")
