"""Running another command in a container: what docker-py calls `exec_run`."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from labkit.client.api import Api
from labkit.client.create import pairs, words
from labkit.client.exit_code import exec_exit_code
from labkit.dialect.frames import STDERR, STDOUT, Demultiplexer

RECEIVE_BYTES = 64 * 1024


class ExecResult(NamedTuple):
    """The result of a command."""

    exit_code: int
    output: "bytes | tuple[bytes, bytes]"


def exec_run(
    api: Api,
    path: str,
    cmd: "str | Sequence[str]",
    *,
    environment: "dict[str, str] | Sequence[str] | None" = None,
    privileged: bool = False,
    user: str = "",
    workdir: str = "",
    demux: bool = False,
) -> ExecResult:
    """Run a command in the container at this path of the API, and wait for its end."""
    body = {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": words(cmd),
        "Env": pairs(environment),
        "Privileged": privileged,
        "User": user,
        "WorkingDir": workdir,
    }
    exec_path = f"/exec/{api.post(f'{path}/exec', body)['Id']}"
    output = _output(api, exec_path)
    code = exec_exit_code(api, exec_path)
    streams = {number: b"".join(text for n, text in output if n == number) for number in (1, 2)}
    if demux:
        return ExecResult(code, (streams[STDOUT], streams[STDERR]))
    return ExecResult(code, b"".join(text for _, text in output))


def _output(api: Api, exec_path: str) -> "list[tuple[int, bytes]]":
    connection, early = api.hijack(f"{exec_path}/start", {"Detach": False, "Tty": False}).hijack()
    frames = Demultiplexer()
    output: list[tuple[int, bytes]] = []
    with contextlib.closing(connection):
        data = early
        while data or (data := connection.recv(RECEIVE_BYTES)):
            output += frames.feed(data)
            data = b""
    return output
