"""What lasts: waiting for a container's end, reading its log, and being attached to it."""

import struct
from collections.abc import Iterator

import msgspec

from labkit.containers import Container, Engine, LogLine
from labkit.containers.logs import read
from labkit.daemon.connection import Connection
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.requests import Request
from labkit.daemon.responses import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Answer,
    Hijack,
    Stream,
)
from labkit.daemon.shapes.times import ZERO_TIME
from labkit.errors import InvalidParameterError, NotFoundError

LOOK_AFTER_S = 1.0
"""How often one who waits looks whether its client is still there."""
WAIT_CONDITIONS = ("not-running", "next-exit", "removed")
FRAME_HEADER = struct.Struct(">BxxxL")
"""The stream's number, three bytes of nothing, the length of what follows (big-endian)."""
STREAM_NUMBERS = {"stdout": 1, "stderr": 2}
JOINED_BYTES = 32 * 1024
MULTIPLEXED_SINCE = (1, 42)


def wait(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/wait?condition=`: `{"StatusCode": N}` once the condition holds.

    The head is sent at once: `docker run` starts the container only when it has seen it.
    """
    condition = request.query.text("condition") or "not-running"
    if condition not in WAIT_CONDITIONS:
        raise InvalidParameterError(f'invalid condition: "{condition}"')
    container = engine.get(ref)
    ended_before = container.state.finished_at
    return Stream(_exit_status(engine, container, condition, ended_before, request.connection))


def _exit_status(
    engine: Engine, container: Container, condition: str, ended_before: str, client: Connection
) -> Iterator[bytes]:
    """One JSON object when the condition holds; nothing when the client has gone before.

    The engine is asked again every second, so that a client that went away is noticed.  What
    happens just between two questions is not lost: the record in hand shows an end that came since
    (`ended_before`), and it keeps the last state of a container that is removed.
    """
    while True:
        state = container.state
        if condition == "next-exit" and state.finished_at not in (ended_before, ZERO_TIME):
            break
        try:
            state = engine.wait(container.id, condition, LOOK_AFTER_S)
            break
        except TimeoutError:
            if client.client_is_gone():
                return
        except NotFoundError:
            state = container.state
            break
    yield msgspec.json.encode({"StatusCode": state.exit_code}) + b"\n"


def attach(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/attach?stream=1&stdin=&stdout=&stderr=`: the container's own streams.

    The connection is handed to the container's shim, which frames what it sends (`>BxxxL` and the
    data, without a terminal) and takes everything the client sends as standard input.
    """
    query = request.query
    for name in ("logs", "detachKeys"):
        if query.flag(name):
            raise UnsupportedError(f"labkit does not support {name} in attach yet")
    if not query.flag("stream"):
        raise InvalidParameterError("Bad parameters: attach without stream=1 would show nothing")
    if not request.body.is_read:
        raise InvalidParameterError(
            "attach takes no body: what follows the answer's head is standard input"
        )
    container = engine.get(ref)

    def hand_over(connection_fd: int) -> None:
        engine.attach(
            container.id,
            connection_fd,
            stdin=query.flag("stdin"),
            stdout=query.flag("stdout"),
            stderr=query.flag("stderr"),
        )

    return Hijack(hand_over, _stream_type(request, container))


def logs(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/logs?stdout=&stderr=&follow=&since=&until=&tail=&timestamps=`."""
    query = request.query
    streams = {name for name in STREAM_NUMBERS if query.flag(name)}
    if not streams:
        raise InvalidParameterError("Bad parameters: you must choose at least one stream")
    if query.flag("details"):
        raise UnsupportedError("labkit does not support details of logs yet")
    container = engine.get(ref)
    client = request.connection
    follow = query.flag("follow")

    def goes_on() -> bool:
        return container.state.status == "running" and not client.client_is_gone()

    lines = read(
        engine.log_path(container.id),
        streams=streams,
        since=query.timestamp_s("since"),
        until=query.timestamp_s("until"),
        tail=_tail(query.text("tail")),
        is_running=goes_on if follow else None,
    )
    pieces = _pieces(lines, timestamps=query.flag("timestamps"), framed=not container.config.tty)
    return Stream(pieces if follow else _joined(pieces), _stream_type(request, container))


def _stream_type(request: Request, container: Container) -> str:
    is_multiplexed = not container.config.tty and request.version >= MULTIPLEXED_SINCE
    return MULTIPLEXED_STREAM if is_multiplexed else RAW_STREAM


def _tail(text: str) -> int | None:
    if text in ("", "all"):
        return None
    try:
        number = int(text)
    except ValueError:
        raise InvalidParameterError(f"tail={text} is neither all nor a whole number") from None
    return number if number >= 0 else None


def _pieces(lines: Iterator[LogLine], *, timestamps: bool, framed: bool) -> Iterator[bytes]:
    """Each line as a client gets it: with its time if wanted, framed if there is no terminal."""
    for line in lines:
        text = f"{line.time} ".encode() + line.text if timestamps else line.text
        header = FRAME_HEADER.pack(STREAM_NUMBERS[line.stream], len(text)) if framed else b""
        yield header + text


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces put together, for a log that is there already and need not be waited for."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= JOINED_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
