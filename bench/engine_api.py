"""The Docker Engine API of labkitd and of dockerd, through the same small client."""

import json
from typing import Any

from labkit.client.http import Connection

# The newest version that both of them know.
VERSION = "1.41"


class EngineApi:
    """One kept connection, for one thread."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._connection: Connection | None = None

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer's JSON, or None; RuntimeError if the engine refused."""
        if self._connection is None or not self._connection.is_idle():
            self.close()
            self._connection = Connection(self._socket_path)
        response = self._connection.request(method, f"/v{VERSION}{path}", _encoded(body))
        text = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {text.decode(errors='replace')}")
        return json.loads(text) if text.strip() else None

    def follow(self, path: str, body: object) -> bytes:
        """Ask for a stream on the connection, and read it to its end."""
        connection = Connection(self._socket_path)
        response = connection.request("POST", f"/v{VERSION}{path}", _encoded(body), upgrade=True)
        stream, early = response.hijack()
        with stream:
            parts = [early]
            while part := stream.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def create(self, image: str, command: list[str]) -> str:
        """Create a container without a network; return its id."""
        body = {"Image": image, "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
        return str(self.request("POST", "/containers/create", body)["Id"])

    def start(self, container: str) -> None:
        """Start a container."""
        self.request("POST", f"/containers/{container}/start")

    def remove(self, container: str) -> None:
        """Kill and remove a container."""
        self.request("DELETE", f"/containers/{container}?force=1")

    def execute(self, container: str, command: list[str]) -> int:
        """Run a command in a container, attached, to its end; return its exit code."""
        streams = {"AttachStdout": True, "AttachStderr": True}
        made = self.request("POST", f"/containers/{container}/exec", {"Cmd": command, **streams})
        self.follow(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        return int(self.request("GET", f"/exec/{made['Id']}/json")["ExitCode"])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _encoded(body: object) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
