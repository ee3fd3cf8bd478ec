"""Common steps of tests of containers, through an engine in their own process."""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.containers import ContainerConfig, HostConfig
from labkit.containers.inside.execs import ExecConfig

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def create(engine, *command, name="", without=(), **options):
    fields = {
        key: options.pop(key) for key in list(options) if key in ContainerConfig.__annotations__
    }
    config = ContainerConfig(image="busybox", cmd=list(command) or None, **fields)
    container, _ = engine.create(config, HostConfig(**options), name=name, without=without)
    return container.id


def run(engine, *command, **options):
    """Run to the end; return the output and the exit code."""
    container_id = create(engine, *command, **options)
    engine.start(container_id)
    state = engine.wait(container_id, timeout_s=60)
    output = b"".join(line.text for line in engine.logs(container_id)).decode()
    return output, state.exit_code


def shell(engine, script, **options):
    return run(engine, "sh", "-c", script, **options)


def read_frames(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    frames = []
    while data:
        number, length = struct.unpack(">BxxxL", data[:8])
        frames.append((number, data[8 : 8 + length]))
        data = data[8 + length :]
    return frames


def execute(engine, container_id, *command, stdin=None, **options):
    """Run an exec to its end; return the data of the connection, and the exit code."""
    config = ExecConfig(
        cmd=list(command),
        attach_stdin=stdin is not None,
        attach_stdout=True,
        attach_stderr=True,
        **options,
    )
    made = engine.execs.create(container_id, config)
    ours, theirs = socket.socketpair()
    engine.execs.start(made.id, theirs.fileno(), b"")
    theirs.close()
    if stdin is not None:
        ours.sendall(stdin)
        ours.shutdown(socket.SHUT_WR)
    read = read_all if options.get("tty") else read_text
    data = read(ours)
    with made.changed:
        assert made.changed.wait_for(lambda: made.exit_code is not None, 30)
    return data.decode(), made.exit_code


def read_all(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def read_text(connection):
    return b"".join(text for _, text in read_frames(connection))


def wait_until(condition, timeout_s=20):
    """Wait until the condition holds; AssertionError if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def exchanging(one: str, other: str) -> Iterator[list[int]]:
    """Exchange the two names again and again; yield a list with the number of exchanges.

    A test that needs a race repeats its attempt until the count has moved during enough of them:
    then it does not depend on which thread the kernel prefers.
    """
    rename, count, over = ctypes.CDLL(None).renameat2, [0], threading.Event()

    def exchange():
        while not over.is_set():
            failed = rename(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE)
            count[0] += not failed

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()
