"""Packets for tests: sockets in any network namespace, programs that answer, and a host outside.

A socket belongs for ever to the namespace it was made in (network_namespaces(7)).  So a thread
enters a container's network and makes a socket there.  The container is the sender of all
packets of that socket, and no program need be started inside.
"""

import contextlib
import itertools
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from labkit.kernel import namespaces
from tests import leaks
from tests.lab import Lab

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
HOST = os.getpid()
"""The process whose network is the host's."""
PATIENCE_S = 30.0
"""How long an answer that must come may take on a busy machine."""
SILENCE_S = 0.3
"""How long the tests wait for an answer that must not come."""
_TRY_S = 0.25
_LARGEST_ANSWER = 1000
_IP_PKTINFO, _PKTINFO_BYTES = 8, 12
_numbers = itertools.count()
Found = TypeVar("Found")


def sleeper(lab: Lab, name: str, *options: str) -> dict[str, Any]:
    """A container that does nothing, as it is shown."""
    words = ("run", "-d", "--name", name, *options, "busybox", "sleep", "100000")
    lab.cli(*words, check=True)
    _, shown = lab.api("GET", f"/containers/{name}/json")
    assert isinstance(shown, dict)
    return shown


def pid_of(shown: dict[str, Any]) -> int:
    """The first process of a container that is shown."""
    return int(shown["State"]["Pid"])


def in_network_of(pid: int, work: Callable[[], Found]) -> Found:
    """Return the result of `work` in the network namespace of a process."""
    found: list[Found] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                namespaces.setns(namespace.fileno(), namespaces.CLONE_NEWNET)
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter)  # it ends in there: no other thread is moved
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def socket_of(pid: int, protocol: str, address: str = "") -> socket.socket:
    """A socket in the network of a process, for addresses like this one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return in_network_of(pid, lambda: socket.socket(family, KINDS[protocol]))


class Answer(NamedTuple):
    """An answer: its sender, and the address it saw the question come from."""

    who: str
    seen: str


def ask(
    pid: int, protocol: str, address: str, port: int, *, patience_s: float = PATIENCE_S
) -> Answer | None:
    """Ask the program there for its name, from the network of a process.

    Ask until it answers or the time is over.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with socket_of(pid, protocol, address) as asking, contextlib.suppress(OSError):
            asking.settimeout(min(_TRY_S * 4, max(deadline - time.monotonic(), _TRY_S)))
            asking.connect((address, port))
            asking.send(b"?")
            if answer := asking.recv(_LARGEST_ANSWER).decode():
                return Answer(*answer.split())
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)


class Answering:
    """Answers at addresses and ports, TCP and UDP, until closed.

    An answer is the name it speaks for, and the address of the client.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._over, self._end = os.pipe()
        self._selector.register(self._over, selectors.EVENT_READ)

    def add(self, who: str, pid: int, port: int, address: str = "0.0.0.0") -> int:
        """Answer as `who` in the network of a process; return the port, chosen if it is 0."""
        listening = socket_of(pid, "tcp", address)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen()
        found = int(listening.getsockname()[1])
        datagrams = socket_of(pid, "udp", address)
        datagrams.bind((address, found))
        datagrams.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._selector.register(listening, selectors.EVENT_READ, (who, _answer_tcp))
        self._selector.register(datagrams, selectors.EVENT_READ, (who, _answer_udp))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()
        return found

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._over:
                    return
                who, answer = key.data
                with contextlib.suppress(OSError):  # the client has ended, or its network has
                    answer(key.fileobj, who)

    def close(self) -> None:
        """Answer no more."""
        os.close(self._end)
        if self._thread is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._over)


def _answer_tcp(listening: socket.socket, who: str) -> None:
    connection, peer = listening.accept()
    with connection:
        connection.settimeout(PATIENCE_S)
        connection.recv(_LARGEST_ANSWER)
        connection.sendall(f"{who} {peer[0]}".encode())


def _answer_udp(datagrams: socket.socket, who: str) -> None:
    _, asked, _, peer = datagrams.recvmsg(_LARGEST_ANSWER, socket.CMSG_SPACE(_PKTINFO_BYTES))
    # The answer comes from the requested address, not from the nearest (ip(7), IP_PKTINFO).
    own = [(level, kind, bytes(4) + data[4:]) for level, kind, data in asked]
    datagrams.sendmsg([f"{who} {peer[0]}".encode()], own, 0, peer)


class Outside(NamedTuple):
    """A host for one test, at the other end of a cable from this one."""

    pid: int
    """A process in its network."""
    address: str
    address_6: str
    host_address: str
    """This machine's own address at its end of the cable."""
    host_address_6: str
    link: str
    """The link of this machine that leads there."""


@contextlib.contextmanager
def outside_host() -> Iterator[Outside]:
    """A host that routes all packets for others through this machine, during the block."""
    number = next(_numbers)
    link = f"{leaks.RUN_NAME}T{number}"
    # Of the addresses for measuring networks (RFC 2544), four that no other run uses.
    third, fourth = divmod((os.getpid() * 4 + number * 4) % 65536, 256)
    net, net_6 = f"198.18.{third}", f"fd98:{os.getpid() & 0xFFFF | 1:x}:{number + 1:x}:"
    ours, theirs = f"{net}.{fourth + 1}", f"{net}.{fourth + 2}"
    with subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as there:
        try:
            assert there.stdout is not None
            there.stdout.readline()  # it has its own network
            inside = ["nsenter", "-t", str(there.pid), "-n", "ip"]
            peer = ["peer", "name", "eth0", "netns", str(there.pid)]
            _run("ip", "link", "add", link, "type", "veth", *peer)
            for ip, name, own, own_6 in ((["ip"], link, ours, "1"), (inside, "eth0", theirs, "2")):
                _run(*ip, "address", "add", f"{own}/30", "dev", name)
                _run(*ip, "-6", "address", "add", f"{net_6}:{own_6}/64", "dev", name, "nodad")
                _run(*ip, "link", "set", name, "up")
            _run(*inside, "route", "add", "default", "via", ours)
            yield Outside(there.pid, theirs, f"{net_6}:2", ours, f"{net_6}:1", link)
        finally:
            there.kill()
            subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
