"""Registries for tests: labkit's own as a process, Debian's beside it, and requests to both."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

PROJECT = Path(__file__).parent.parent
START_TIMEOUT_S = 20.0

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

OTHERWISE = {
    "test_a_chunk_out_of_order_is_416": "2.8 does not check it",
    "test_a_chunk_that_is_not_as_long_as_it_says": "2.8 keeps such a chunk",
    "test_a_put_out_of_order_is_416": "2.8 does not check it",
    "test_a_range_after_the_end_is_416": "2.8 has no body for it",
    "test_a_size_that_is_not_the_blobs": "2.8 does not compare",
    "test_a_subject_is_confirmed": "no referrers in 2.8",
    "test_a_tag_alone_is_deleted": "2.8 deletes by digest alone",
    "test_a_type_that_is_no_manifest": "2.8 takes it for its first schema",
    "test_a_wrong_method_names_the_right_ones": "2.8 has no body for it",
    "test_a_wrong_range_header_is_416": "2.8 does not check it",
    "test_referrers": "no referrers in 2.8",
    "test_referrers_by_type": "no referrers in 2.8",
    "test_referrers_of_a_bad_digest": "no referrers in 2.8",
    "test_referrers_of_nothing_are_an_empty_list": "no referrers in 2.8",
    "test_tags_after_one": "2.8 does not sort",
    "test_tags_in_order": "2.8 does not sort",
    "test_tags_by_pages": "no pages of tags in 2.8",
    "test_no_tags_at_all_may_be_asked_for": "no pages of tags in 2.8",
    "test_a_page_of_a_bad_size": "no pages of tags in 2.8",
}
"""The tests of the specification that Debian's `docker-registry` 2.8 fails, and how."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """Return the codes of an error's body."""
        return [error["code"] for error in self.json["errors"]]

    @property
    def location(self) -> str:
        """Return the path and query of the Location header, absolute or not."""
        parts = urlsplit(self.headers["Location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Registry:
    """A registry at an address, and the common requests of tests."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request on a new connection; `Content_Type=` is the header Content-Type."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            lines = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, lines)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def start_upload(self, name: str) -> str:
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.location

    def push_blob(self, name: str, data: bytes) -> str:
        """Push in one PUT; return the digest."""
        location = self.start_upload(name)
        digest = digest_of(data)
        answer = self.ask("PUT", with_digest(location, digest), data)
        assert answer.status == 201, answer
        return digest

    def push_manifest(self, name: str, reference: str, document: object, media_type: str) -> str:
        """Push a manifest under a tag; return its digest."""
        data = as_bytes(document)
        answer = self.ask("PUT", f"/v2/{name}/manifests/{reference}", data, Content_Type=media_type)
        assert answer.status == 201, answer
        return digest_of(data)

    def push_image(self, name: str, tag: str, seed: bytes = b"", **more: object) -> str:
        """Push an image of one layer under a tag; return its manifest's digest."""
        document = self.image_of(name, seed) | more
        return self.push_manifest(name, tag, document, MANIFEST)

    def image_of(self, name: str, seed: bytes = b"") -> dict[str, object]:
        """Return the manifest of an image whose blobs have been pushed."""
        config = as_bytes({"architecture": "amd64", "os": "linux", "author": seed.decode()})
        layer = b"layer of " + seed
        self.push_blob(name, config)
        self.push_blob(name, layer)
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer)],
        }


def with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def as_bytes(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


class LabkitRegistry(Registry):
    """`labkit registry serve` in a folder, on a free port; the command gets `flags`."""

    def __init__(self, folder: str, *flags: str, port: int = 0) -> None:
        self.folder = folder
        self.root = f"{folder}/registry"
        self.flags = flags
        self.output = Path(folder, "registry.log")
        self.start(port)

    def start(self, port: int) -> None:
        command = [sys.executable, "-m", "labkit.cli", "registry", "serve", "--root", self.root]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{port}", *self.flags],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while " listens on " not in (said := self.output.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the registry did not start:\n{said}")
            time.sleep(0.02)
        line = next(line for line in said.splitlines() if " listens on " in line)
        scheme, _, rest = line.rpartition(" listens on ")[2].partition("://")
        self.scheme = scheme
        super().__init__(rest.partition(",")[0])

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def kill_and_start(self) -> None:
        """`kill -9`, and start again on the same address."""
        port = self.port
        self.end(signal.SIGKILL)
        self.start(port)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)


class DebianRegistry(Registry):
    """Debian's `docker-registry` in a folder, on a free port."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        super().__init__(f"127.0.0.1:{port}")
        config = Path(folder, "config.yml")
        config.write_text(
            "version: 0.1\nstorage:\n  delete: {enabled: true}\n"
            f"  filesystem: {{rootdirectory: {folder}/debian}}\n"
            f"http: {{addr: '{self.address}'}}\n"
            "log: {level: error}\n"
        )
        self.process = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OTEL_TRACES_EXPORTER": "none"},
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, "docker-registry did not start"
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/v2/").status == 200
        except OSError:
            return False

    def end(self) -> None:
        self.process.kill()
        self.process.wait(20)

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("docker-registry") is not None
