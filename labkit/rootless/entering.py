"""Becoming root of the engine's user namespace, which is made if it does not exist."""

import os
import signal
import socket
import sys
from contextlib import suppress

from labkit.errors import LabkitError
from labkit.kernel import messages, namespaces, processes, user_namespaces
from labkit.paths import HOLDER_SOCKET, Paths, refuse_foreign
from labkit.rootless import holder, ids, traces

_MADE, _GO, _READY = b"m", b"g", b"r"


def enter(paths: Paths) -> None:
    """Continue as root of the user namespace of the engine with these folders; LabkitError.

    The program starts again inside, so that its files in /proc belong to it again.  Only a process
    with one thread may call this.  PermissionError if others can write to the run folder.
    """
    folder = os.getcwd()
    os.makedirs(paths.run, 0o700, exist_ok=True)
    refuse_foreign(paths.run)
    traces.rejoin_group(paths.run)
    connection = _connect(paths.run) or _make(paths.run)
    with connection:
        messages.send(connection, ("join",))
        message = messages.receive(connection)
        if message is None:
            raise LabkitError("the process that holds the namespaces has ended: try again")
        for namespace in message[1]:
            namespaces.setns(namespace)
        user_namespaces.become_root()
    with suppress(OSError):  # the join has left the working directory
        os.chdir(folder)
    os.environ |= {"LABKIT_ROOT": paths.root, "LABKIT_RUN": paths.run}
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _connect(run: str) -> socket.socket | None:
    try:
        return messages.connect(f"{run}/{HOLDER_SOCKET}")
    except OSError:
        return None


def _make(run: str) -> socket.socket:
    """Start a holder that is no child of this process, and so stays when this process has ended.

    If a holder was killed, and a process is left in its namespaces, the new one joins these.
    """
    with suppress(FileNotFoundError):
        os.unlink(f"{run}/{HOLDER_SOCKET}")
    found = traces.find_namespaces(run)
    ours, theirs = socket.socketpair()
    first = os.fork()
    if first == 0:
        ours.close()
        if os.fork():
            os._exit(0)
        _be_holder(theirs, run, found)
    theirs.close()
    for fd in found:
        os.close(fd)
    os.waitpid(first, 0)
    with ours:
        made = ours.recv(64)
        if not made.startswith(_MADE):
            raise LabkitError(_refused(made))
        pid = int(made[1:])
        try:
            if not found:
                ids.give(pid, ids.find())
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        ours.send(_GO)
        failure = ours.recv(1024)
        if failure != _READY:
            text = failure.decode() or "it ended without an error message"
            raise LabkitError(f"the namespaces of an engine without root cannot be made: {text}")
    connection = _connect(run)
    if connection is None:
        raise LabkitError("the process that holds the namespaces does not answer")
    return connection


def _refused(said: bytes) -> str:
    return (
        "labkitd does not run as root here, and this machine does not let it make a user namespace "
        f"({said.decode() or 'no answer'}): run it with sudo, or see what `labkit doctor` says"
    )


def _be_holder(connection: socket.socket, run: str, found: list[int]) -> None:
    try:
        os.setsid()
        processes.close_all_but({0, 1, 2, connection.fileno(), *found})
        try:
            holder.move(found)
        except OSError as error:
            connection.send(str(error).encode())
            os._exit(1)
        connection.send(_MADE + b"%d" % os.getpid())
        if connection.recv(1) != _GO:
            os._exit(1)
        holder.be(run, lambda: connection.send(_READY), found)
    except BaseException as error:
        with suppress(OSError):
            connection.send(f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)
