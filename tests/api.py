"""Requests to the Docker API byte by byte, and the search for docker's own commands."""

import socket
import struct

from tests.lab import Lab

TIMEOUT_S = 20.0


def create_body(*command: str, **host_config: object) -> dict[str, object]:
    return {
        "Image": "busybox",
        "Cmd": list(command),
        "HostConfig": {"NetworkMode": "none"} | host_config,
    }


def create(lab: Lab, *command: str, name: str = "", **more: object) -> str:
    body = create_body(*command) | more
    status, answer = lab.api("POST", f"/containers/create?name={name}", body)
    assert status == 201, answer
    return answer["Id"]


def run(lab: Lab, *command: str, name: str = "", **more: object) -> str:
    """Create and start a container; return its id."""
    container_id = create(lab, *command, name=name, **more)
    assert lab.api("POST", f"/containers/{container_id}/start")[0] == 204
    return container_id


class Raw:
    """A connection on which a test writes and reads any bytes."""

    def __init__(self, lab: Lab, request: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(lab.socket)
        self.socket.sendall(request)

    def head(self) -> bytes:
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            assert byte, got
            got += byte
        return got

    def rest(self) -> bytes:
        got = b""
        while part := self.socket.recv(65536):
            got += part
        return got

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def attach(lab: Lab, container_id: str, streams: str, after_head: bytes = b"") -> Raw:
    head = (
        f"POST /v1.47/containers/{container_id}/attach?stream=1&{streams} HTTP/1.1\r\n"
        "Host: labkit\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    return Raw(lab, head.encode() + after_head)


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Split Docker's multiplexed stream into frames."""
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


def joined(data: bytes) -> dict[int, bytes]:
    """Return the data of each stream, however it was cut."""
    whole: dict[int, bytes] = {}
    for stream, payload in frames(data):
        whole[stream] = whole.get(stream, b"") + payload
    return whole
