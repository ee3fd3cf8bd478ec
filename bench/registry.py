"""Debian's docker-registry on this machine, the same for all pushes and pulls."""

import os
import shutil
import socket
import subprocess
import time

from bench.peer import MissingPeerError, end

START_TIMEOUT_S = 20.0
LOOK_INTERVAL_S = 0.05
CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}", secret: bench}}
"""


class Registry:
    """A registry that keeps nothing in memory: files deleted in its folder are gone for it."""

    def __init__(self) -> None:
        self.address = ""
        self._data = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: str) -> None:
        """Start it, unless it runs; `MissingPeerError`."""
        if self._process:
            return
        program = shutil.which("docker-registry")
        if program is None:
            raise MissingPeerError("docker-registry is not installed")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.address, self._data = f"127.0.0.1:{port}", f"{folder}/data"
        path = f"{folder}/registry.yml"
        with open(path, "w") as file:
            file.write(CONFIGURATION.format(folder=folder, address=self.address))
        null = subprocess.DEVNULL
        self._process = subprocess.Popen([program, "serve", path], stdout=null, stderr=null)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MissingPeerError("docker-registry does not start")
            time.sleep(LOOK_INTERVAL_S)

    def empty(self) -> None:
        """Remove all that was pushed: the next push has to send everything."""
        if os.path.isdir(self._data):
            shutil.rmtree(self._data)

    def has(self, repository: str) -> bool:
        """Whether anything was pushed there."""
        return os.path.isdir(f"{self._data}/docker/registry/v2/repositories/{repository}")

    def stop(self) -> None:
        """End it."""
        if self._process:
            end(self._process)
            self._process = None
