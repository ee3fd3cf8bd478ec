"""The process that keeps the namespaces of an engine without root.

It is root of the user namespace and has its mounts, but it is in the machine's network, so it can
open ports there.  It ends when no other process is in the user namespace any more.

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
"""The namespaces that it joins itself: message queues can only be mounted in one's own IPC."""
BACKLOG = socket.SOMAXCONN
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def move(found: Sequence[int]) -> None:
    """Enter the engine's namespaces: new ones, or the ones that were found (`traces`); OSError."""
    if not found:
        namespaces.unshare(OWN)
        return
    *own, _ = found
    for namespace in own:
        namespaces.setns(namespace)


def be(run: str, ready: Callable[[], object], found: Sequence[int]) -> None:
    """Be the holder as long as it is needed, in a process that has moved and has its ids.

    `ready` is called when it listens.  `found` are the namespaces of a killed holder.
    """
    processes.prctl(processes.PR_SET_NAME, b"labkit-holder")
    user_namespaces.become_root()
    # Its user may read its memory, and its namespaces must be opened through /proc.
    processes.prctl(processes.PR_SET_DUMPABLE, 1)
    if not found:
        # Later mounts of the machine appear here, but mounts made here do not appear there.
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
    """Be the holder of the namespaces that this process is already in, as their root.

    For an engine in a sandbox, whose namespaces all end together.
    """
    own = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "mnt", "ipc", "net")]
    with suppress(FileNotFoundError):  # left by a killed holder
        os.unlink(f"{run}/{HOLDER_SOCKET}")
    with messages.listen(f"{run}/{HOLDER_SOCKET}") as server:
        _serve(server, own)


def _new_network() -> int:
    """Open a new network namespace; a child process makes it, since this process must not move."""
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children that connect
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
                # A process that asked to join has joined by now, or never will.
                joined = True


def _answer(connection: socket.socket, own: list[int]) -> bool:
    """Answer one message; False if the other side has closed."""
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
    """Connect in a child process, since a name server, or the other side, may be slow."""
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
    """A pidfd of a process in this user namespace, except our own; -1 if there is none."""
    own = os.fstat(user_namespace).st_ino
    children = processes.children()
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) in (os.getpid(), *children):
            continue
        with suppress(OSError):
            if os.stat(f"/proc/{name}/ns/user").st_ino == own:
                found = os.pidfd_open(int(name))
                if not processes.has_ended(found):  # a zombie does not count
                    return found
                os.close(found)
    return -1
