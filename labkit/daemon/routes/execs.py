"""exec: another process in a running container, created first and started afterwards."""

from collections.abc import Callable

from labkit.containers import Engine
from labkit.containers.inside.execs import Exec, ExecConfig
from labkit.daemon.create_body import convert
from labkit.daemon.errors import error_message
from labkit.daemon.requests import Request
from labkit.daemon.responses import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Answer,
    Hijack,
    Response,
    json_response,
)
from labkit.daemon.routes.sizes import size
from labkit.daemon.shapes.containers import JsonObject
from labkit.dialect import detach_keys
from labkit.dialect.frames import framed
from labkit.errors import LabkitError

MULTIPLEXED_SINCE = (1, 42)


class _StartBody(ExecConfig):
    """`{"Detach": false, "Tty": true, "ConsoleSize": [24, 80]}`."""

    detach: bool = False


def create(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/exec`: 201 and the exec's id."""
    config = convert(request.json(), ExecConfig, "")
    detach_keys.parse(config.detach_keys)
    return json_response({"Id": engine.execs.create(ref, config).id}, 201)


def start(engine: Engine, request: Request, exec_id: str) -> Answer:
    """`POST /exec/{id}/start`: the connection becomes the process's streams, unless `Detach`.

    An error after the head of the answer is sent as output, as Docker does it; the exit code, 126
    or 127, is in the inspection of the exec.
    """
    body = convert(request.json(), _StartBody, "")
    made = engine.execs.check_startable(exec_id)
    console = body.console_size or (0, 0)
    if body.detach:
        engine.execs.start(exec_id, None, b"", console)
        return Response(200)
    keys = detach_keys.parse(made.config.detach_keys) if made.config.tty else b""
    # The start decides how the client reads: its terminal may differ from the process's.
    is_framed = not body.tty

    def hand_over(connection_fd: int, send_head: Callable[[], None]) -> None:
        send_head()
        try:
            engine.execs.start(exec_id, connection_fd, keys, console, framed=is_framed)
        except LabkitError as error:
            text = f"{error_message(error)}\r\n".encode()
            sent = framed("stdout", text) if is_framed else text
            request.connection.send(sent)

    multiplexed = is_framed and request.version >= MULTIPLEXED_SINCE
    return Hijack(hand_over, MULTIPLEXED_STREAM if multiplexed else RAW_STREAM)


def inspect(engine: Engine, request: Request, exec_id: str) -> Answer:
    """`GET /exec/{id}/json`."""
    return json_response(_shape(engine.execs.settled(exec_id)))


def resize(engine: Engine, request: Request, exec_id: str) -> Answer:
    """`POST /exec/{id}/resize?h=&w=`."""
    engine.execs.resize(exec_id, *size(request))
    return Response(200)


def _shape(made: Exec) -> JsonObject:
    config = made.config
    command = config.cmd or []
    return {
        "ID": made.id,
        "Running": made.running,
        "ExitCode": made.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": command[0],
            "arguments": command[1:],
            "privileged": config.privileged,
            "user": config.user,
        },
        "OpenStdin": config.attach_stdin,
        "OpenStdout": config.attach_stdout,
        "OpenStderr": config.attach_stderr,
        "CanRemove": made.exit_code is not None,
        "ContainerID": made.entry.container.id,
        "DetachKeys": config.detach_keys,
        "Pid": made.pid,
    }
