"""Sending lines of a container's log to syslog, journald, fluentd and Graylog (GELF)."""

import contextlib
import os
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from labkit.containers.given import log_options
from labkit.containers.inside.logs import LogLine
from labkit.containers.records.model import Container
from labkit.dialect.moments import unix_s

Send = Callable[[LogLine], None]
"""Sends one line; OSError."""

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
TIMEOUT_S = 10.0
INFO, ERROR = 6, 3
"""Severities of syslog (RFC 5424, 6.2.1)."""
_KINDS = {"udp": socket.SOCK_DGRAM, "unixgram": socket.SOCK_DGRAM}
_PORTS = {"syslog": 514, "fluentd": 24224, "gelf": 12201}


@contextlib.contextmanager
def connect(container: Container) -> Iterator[Send]:
    """Connect to the log driver's server, and give a function that sends lines to it; OSError."""
    config = container.host_config.log_config
    options = config.config or {}
    address = options.get(f"{config.type}-address", "")
    with _reach(config.type, address) as other:
        yield _SENDERS[config.type](other, container, options)


def _reach(driver: str, address: str) -> socket.socket:
    """A socket connected to the server: `udp://host:port`, `tcp://…`, `unix:///path`."""
    usual = {"journald": f"unixgram://{JOURNAL}", "syslog": f"unixgram://{SYSLOG}"}
    address = address or usual.get(driver, "tcp://127.0.0.1")
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme.startswith("unix"):
        other = socket.socket(socket.AF_UNIX, _KINDS.get(parts.scheme, socket.SOCK_STREAM))
        where: object = parts.path
    else:
        port = parts.port or _PORTS.get(driver, 0)
        kind = _KINDS.get(parts.scheme, socket.SOCK_STREAM)
        family, _, _, _, where = socket.getaddrinfo(parts.hostname, port, type=kind)[0]
        other = socket.socket(family, kind)
    other.settimeout(TIMEOUT_S)
    try:
        other.connect(where)  # type: ignore[arg-type]  # getaddrinfo's tuple or a path
    except OSError:
        other.close()
        raise
    return other


def _text(line: LogLine) -> bytes:
    return line.text.rstrip(b"\r\n")


def _syslog(other: socket.socket, container: Container, options: dict[str, str]) -> Send:
    word = options.get("syslog-facility", "daemon")
    facility = log_options.FACILITIES.get(word, int(word) if word.isdecimal() else 3)
    tag, is_stream = log_options.tag(container), other.type == socket.SOCK_STREAM
    is_new = options.get("syslog-format", "").startswith("rfc5424")

    def send(line: LogLine) -> None:
        priority = 8 * facility + (INFO if line.stream == "stdout" else ERROR)
        if is_new:
            head = f"<{priority}>1 {line.time} {os.uname().nodename} {tag} {os.getpid()} {tag} - "
        else:
            moment = time.strftime("%b %e %H:%M:%S", time.localtime(unix_s(line.time)))
            head = f"<{priority}>{moment} {tag}[{os.getpid()}]: "
        other.sendall(head.encode() + _text(line) + (b"\n" if is_stream else b""))

    return send


def _journald(other: socket.socket, container: Container, options: dict[str, str]) -> Send:
    tag = log_options.tag(container)
    fields = {
        "CONTAINER_ID": container.id[:12],
        "CONTAINER_ID_FULL": container.id,
        "CONTAINER_NAME": container.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": container.config.image,
        "SYSLOG_IDENTIFIER": tag,
    }
    known = b"".join(_field(name, value.encode()) for name, value in fields.items())

    def send(line: LogLine) -> None:
        priority = str(INFO if line.stream == "stdout" else ERROR).encode()
        stamp = _field("SYSLOG_TIMESTAMP", line.time.encode())
        message = _field("MESSAGE", _text(line)) + _field("PRIORITY", priority)
        other.sendall(message + stamp + known)

    return send


def _field(name: str, value: bytes) -> bytes:
    """A field in systemd's native protocol: a value that may have newlines follows its length."""
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _fluentd(other: socket.socket, container: Container, options: dict[str, str]) -> Send:
    tag = log_options.tag(container)

    def send(line: LogLine) -> None:
        record = {
            "container_id": container.id,
            "container_name": f"/{container.name}",
            "source": line.stream,
            "log": _text(line).decode(errors="replace"),
        }
        other.sendall(msgspec.msgpack.encode([tag, int(unix_s(line.time)), record]))

    return send


def _gelf(other: socket.socket, container: Container, options: dict[str, str]) -> Send:
    is_datagram = other.type == socket.SOCK_DGRAM

    def send(line: LogLine) -> None:
        message = {
            "version": "1.1",
            "host": os.uname().nodename,
            "short_message": _text(line).decode(errors="replace"),
            "timestamp": unix_s(line.time),
            "level": INFO if line.stream == "stdout" else ERROR,
            "_container_id": container.id,
            "_container_name": container.name,
            "_image_id": container.image_id,
            "_image_name": container.config.image,
            "_command": " ".join(container.command),
            "_tag": log_options.tag(container),
            "_created": container.created,
        }
        data = msgspec.json.encode(message)
        other.sendall(zlib.compress(data) if is_datagram else data + b"\0")

    return send


_SENDERS: dict[str, Callable[[socket.socket, Container, dict[str, str]], Send]] = {
    "syslog": _syslog,
    "journald": _journald,
    "fluentd": _fluentd,
    "gelf": _gelf,
}
