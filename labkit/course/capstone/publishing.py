"""An image for the judge's registry, and a registry between that changes the bytes it forwards."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from labkit.course.capstone.layout import MANIFEST


def push(address: str, layout: str, name: str, tag: str) -> None:
    """Send an OCI layout to a registry (distribution specification: blobs, then the manifest)."""
    index = json.loads(Path(layout, "index.json").read_text(encoding="utf-8"))
    manifest = index["manifests"][0]["digest"].partition(":")[2]
    for path in Path(layout, "blobs/sha256").iterdir():
        if path.name != manifest:
            place = urlsplit(_send(address, "POST", f"/v2/{name}/blobs/uploads/", b"", ""))
            query = "&".join(filter(None, (place.query, f"digest=sha256:{path.name}")))
            kind = "application/octet-stream"
            _send(address, "PUT", f"{place.path}?{query}", path.read_bytes(), kind)
    content = Path(layout, "blobs/sha256", manifest).read_bytes()
    _send(address, "PUT", f"/v2/{name}/manifests/{tag}", content, MANIFEST)


def _send(address: str, method: str, path: str, body: bytes, kind: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise OSError(f"the registry answered {answer.status} to {method} {path}")
        return answer.headers.get("Location", "")
    finally:
        connection.close()


class Liar:
    """A registry that forwards the one at `address`, and changes a bit of its layers or configs."""

    def __init__(self, address: str, changed: str) -> None:
        words = [sys.executable, "-m", "labkit.course.capstone.liar", address, changed]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.address = self._process.stdout.readline().strip() if self._process.stdout else ""

    def __enter__(self) -> "Liar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
