"""The process that keeps the namespaces of an engine without root.

It is root of the user namespace and in its mounts, but in the network of the machine: so it can
open ports there.  It goes when labkitd has ended and no other process is in the user namespace.

Messages (`labkit.kernel.messages`) on the socket `holder.sock` of the run folder, and answers:
`join` → `joined` with the user, mount, IPC and network namespaces; `bind` (protocol, address,
port) → `bound` with a socket, or `failed` (number, text); `connect` (host, port, seconds or None) →
`connected` with a socket, or `failed` (the exception's name, its arguments).
"""

import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from labkit.kernel import messages, mounts, namespaces, processes, user_namespaces
from labkit.kernel.network import loopback
from labkit.paths import HOLDER_SOCKET
from labkit.rootless import cable, traces

OWN = namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS | namespaces.CLONE_NEWIPC
"""The namespaces that it is in itself: message queues can be mounted only for one's own IPC."""
BACKLOG = 64
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def move(found: Sequence[int]) -> None:
    """Be in namespaces of the engine's: new ones, or those that were found (`traces`); OSError."""
    if not found:
        namespaces.unshare(OWN)
        return
    *own, _ = found
    for namespace in own:
        namespaces.setns(namespace)


def be(run: str, ready: Callable[[], object], found: Sequence[int]) -> None:
    """Be the holder until it is needed no more, in a process that has moved and has its ids.

    `ready` is called when it listens.  `found` are the namespaces of a holder that was killed.
    """
    processes.prctl(processes.PR_SET_NAME, b"labkit-holder")
    user_namespaces.become_root()
    # Its memory is no secret from its user, and its namespaces are opened by way of /proc.
    processes.prctl(processes.PR_SET_DUMPABLE, 1)
    if not found:
        # What the machine mounts later is seen, what is mounted here is not seen there.
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_SLAVE)
    network = found[-1] if found else _new_network()
    cable.connect(network, run)
    own = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "mnt", "ipc")]
    traces.write_namespaces(run, [*own, network])
    with messages.listen(f"{run}/{HOLDER_SOCKET}") as server:
        ready()
        _serve(server, [*own, network])
    os.unlink(f"{run}/{HOLDER_SOCKET}")
    os._exit(0)


def be_here(run: str) -> None:
    """Be the holder of the namespaces that this process is in already, as root of them.

    For an engine in a sandbox, whose namespaces all end together.
    """
    own = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "mnt", "ipc", "net")]
    with messages.listen(f"{run}/{HOLDER_SOCKET}") as server:
        _serve(server, own)


def _new_network() -> int:
    """A network namespace, open: made by a process of its own, for this one stays where it is."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            loopback.bring_up()
            messages.send(theirs, "made", [os.open("/proc/self/ns/net", os.O_RDONLY)])
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        message = messages.receive(ours)
    os.waitpid(pid, 0)
    if message is None:
        raise OSError("a network namespace could not be made")
    return message[1][0]


def _serve(server: socket.socket, own: list[int]) -> None:
    """Answer until no other process is in the user namespace."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps those that connect
    poll = select.poll()
    poll.register(server.fileno(), select.POLLIN)
    connections: dict[int, socket.socket] = {}
    other = -1
    joined = False
    while True:
        if joined and other < 0:
            other = _open_another(own[0])
            if other < 0:
                return
            poll.register(other, select.POLLIN)
        for fd, _ in poll.poll():
            if fd == server.fileno():
                connection, _ = server.accept()
                connections[connection.fileno()] = connection
                poll.register(connection.fileno(), select.POLLIN)
            elif fd == other:
                poll.unregister(fd)
                os.close(fd)
                other = -1
            elif not _answer(connections[fd], own):
                poll.unregister(fd)
                connections.pop(fd).close()
                # Who has asked to join is in there by now, or will never be.
                joined = True


def _answer(connection: socket.socket, own: list[int]) -> bool:
    """Answer one message; False when the other side has closed."""
    try:
        message = messages.receive(connection)
        if message is None:
            return False
        kind, *words = cast("list[Any]", message[0])
        if kind == "join":
            messages.send(connection, ("joined",), own)
        elif kind == "bind":
            _bind(connection, *words)
        elif kind == "connect":
            _connect(connection, *words)
    except (OSError, EOFError, ValueError, TypeError):
        return False
    return True


def _bind(connection: socket.socket, protocol: str, address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, _KINDS[protocol]) as bound:
            if protocol == "tcp":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address, port))
            if protocol == "tcp":
                bound.listen(BACKLOG)
            messages.send(connection, ("bound",), [bound.fileno()])
    except OSError as error:
        messages.send(connection, ("failed", error.errno or 0, error.strerror or str(error)))


def _connect(connection: socket.socket, host: str, port: int, timeout_s: float | None) -> None:
    """Connect in a process of its own: a name server, or the other side, may take its time."""
    if os.fork():
        return
    try:
        cable.ask_the_machine_for_names()
        with socket.create_connection((host, port), timeout_s) as made:
            messages.send(connection, ("connected",), [made.fileno()])
    except OSError as error:
        messages.send(connection, ("failed", type(error).__name__, error.args))
    finally:
        os._exit(0)


def _open_another(user_namespace: int) -> int:
    """A pidfd of some process in this user namespace that is none of ours; -1 if there is none."""
    own = os.fstat(user_namespace).st_ino
    children = processes.children()
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) in (os.getpid(), *children):
            continue
        with suppress(OSError):
            if os.stat(f"/proc/{name}/ns/user").st_ino == own:
                found = os.pidfd_open(int(name))
                if not processes.has_ended(found):  # else its parent has not noticed yet
                    return found
                os.close(found)
    return -1
