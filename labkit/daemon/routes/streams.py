"""Long requests: waiting for a container's end, reading its log, and attaching to it."""

import os
import socket
from collections.abc import Callable, Iterator

import msgspec

from labkit.containers import Container, Engine, LogLine, Watch
from labkit.containers.given import log_options
from labkit.containers.inside.logs import read
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.requests import Request
from labkit.daemon.responses import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Answer,
    Hijack,
    Stream,
)
from labkit.dialect import detach_keys, frames
from labkit.dialect.frames import STREAM_NUMBERS, Demultiplexer
from labkit.dialect.numbers import whole
from labkit.errors import ConflictError, InvalidParameterError
from labkit.http import websocket
from labkit.http.connection import Connection

LOOK_AFTER_S = 1.0
"""How often a request that waits checks whether its client is still connected."""
NOT_TO_ATTACH_TO = {
    "paused": "unpause the container",
    "restarting": "wait until the container is running",
}
GOES_ON = ("running", "paused", "restarting")
"""The states in which a log may grow."""
JOINED_BYTES = 32 * 1024
MULTIPLEXED_SINCE = (1, 42)


def wait(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/wait?condition=`: `{"StatusCode": N}` once the condition holds.

    The head is sent at once: `docker run` starts the container only after it has seen the head.
    """
    watch = engine.watch(ref, request.query.text("condition") or "not-running")
    return Stream(_exit_status(watch, request.connection))


def _exit_status(watch: Watch, client: Connection) -> Iterator[bytes]:
    """One JSON object when the condition holds; nothing if the client has disconnected before."""
    while True:
        try:
            state = watch.wait(LOOK_AFTER_S)
            break
        except TimeoutError:
            if client.client_is_gone():
                return
    answer: dict[str, object] = {"StatusCode": state.exit_code}
    if watch.has_failed:
        answer["Error"] = {"Message": "the container has ended, and could not be removed"}
    yield msgspec.json.encode(answer) + b"\n"


def attach(engine: Engine, request: Request, ref: str) -> Answer:
    """`POST /containers/{id}/attach?stream=&logs=&stdin=&stdout=&stderr=&detachKeys=`.

    The connection is passed to the container's shim.  The shim sends frames (`>BxxxL` and the data)
    or, with a terminal, the plain data, and everything from the client becomes standard input.
    With `logs` the earlier output is sent first.
    """
    query = request.query
    stream, replay = query.flag("stream"), query.flag("logs")
    if not (stream or replay):
        raise InvalidParameterError(
            "Bad parameters: attach without stream=1 or logs=1 would show nothing"
        )
    if "content-length" in request.headers:
        # JavaScript clients repeat the query in the body.  Later data are standard input.
        request.body_bytes()
    keys = detach_keys.parse(query.text("detachKeys"))
    container = engine.get(ref)
    if container.state.status in NOT_TO_ATTACH_TO:
        raise ConflictError(
            f"container {container.name} is {container.state.status}: "
            f"{NOT_TO_ATTACH_TO[container.state.status]} before attach"
        )

    def send_lines(lines: Iterator[LogLine]) -> None:
        for piece in _joined(_pieces(lines, timestamps=False, framed=not container.config.tty)):
            request.connection.send(piece)

    def hand_over(connection_fd: int, send_head: Callable[[], None]) -> None:
        if not stream:
            send_head()
            streams = {name for name in STREAM_NUMBERS if query.flag(name)}
            send_lines(read(engine.log_path(container.id), streams=streams))
            return
        engine.attach(
            container.id,
            connection_fd,
            stdin=query.flag("stdin") and container.config.open_stdin,
            stdout=query.flag("stdout"),
            stderr=query.flag("stderr"),
            detach_keys=keys if container.config.tty else b"",
            announce=send_head,
            replay=send_lines if replay else None,
        )

    return Hijack(hand_over, _stream_type(request, container))


def attach_websocket(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/attach/ws?stream=&logs=&stdin=&stdout=&stderr=`.

    Like `attach`, but with WebSocket frames in both directions, and streams are not marked.
    """
    query = request.query
    container = engine.get(ref)
    head = websocket.head(request)
    demultiplexer = Demultiplexer()

    def shown(data: bytes) -> bytes:
        if container.config.tty:
            return data
        return b"".join(part for _, part in demultiplexer.feed(data))

    def send_lines(lines: Iterator[LogLine]) -> None:
        for line in lines:
            request.connection.send(websocket.frame(line.text))

    def hand_over(connection_fd: int, send_head: Callable[[], None]) -> None:
        ours, theirs = socket.socketpair()
        with ours, socket.socket(fileno=os.dup(connection_fd)) as client:
            with theirs:
                engine.attach(
                    container.id,
                    theirs.fileno(),
                    stdin=query.flag("stdin") and container.config.open_stdin,
                    stdout=query.flag("stdout"),
                    stderr=query.flag("stderr"),
                    announce=send_head,
                    replay=send_lines if query.flag("logs") else None,
                )
            websocket.carry(client, ours, shown)

    return Hijack(hand_over, protocol="websocket", head=head)


def logs(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/logs?stdout=&stderr=&follow=&since=&until=&tail=&timestamps=&details=`.

    The details are values that the log's options name (labkit.containers.given.log_options).
    """
    query = request.query
    streams = {name for name in STREAM_NUMBERS if query.flag(name)}
    if not streams:
        raise InvalidParameterError("Bad parameters: you must choose at least one stream")
    container = engine.get(ref)
    if not log_options.keeps_log(container):
        raise UnsupportedError("configured logging driver does not support reading")
    details = log_options.details(container) if query.flag("details") else None
    client = request.connection
    follow = query.flag("follow")

    def goes_on() -> bool:
        return container.state.status in GOES_ON and not client.client_is_gone()

    lines = read(
        engine.log_path(container.id),
        streams=streams,
        since=query.timestamp_s("since"),
        until=query.timestamp_s("until"),
        tail=_tail(query.text("tail")),
        is_running=goes_on if follow else None,
    )
    pieces = _pieces(
        lines,
        timestamps=query.flag("timestamps"),
        framed=not container.config.tty,
        details=details,
    )
    return Stream(pieces if follow else _joined(pieces), _stream_type(request, container))


def _stream_type(request: Request, container: Container) -> str:
    is_multiplexed = not container.config.tty and request.version >= MULTIPLEXED_SINCE
    return MULTIPLEXED_STREAM if is_multiplexed else RAW_STREAM


def _tail(text: str) -> int | None:
    """The number of lines; None for all, as in Docker for every text that is no number."""
    return whole(text, least=0)


def _pieces(
    lines: Iterator[LogLine], *, timestamps: bool, framed: bool, details: str | None = None
) -> Iterator[bytes]:
    """Each line as the client gets it: after its time and details, in a frame if `framed`."""
    for line in lines:
        text = line.text if details is None else f"{details} ".encode() + line.text
        if timestamps:
            text = f"{line.time} ".encode() + text
        yield frames.framed(line.stream, text) if framed else text


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces into larger ones, for a log that is already complete."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= JOINED_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
