"""An image for the judge: an OCI layout of three layers, with both kinds of deletion."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
OWNED, OWNER = "data/kept", 1234
"""A file in the second layer, and the number of its user and its group."""


def three_layers(root: str, token: str) -> list[bytes]:
    """The archives of the layers, the lowest first: busybox, files, and changes of these files."""
    base = io.BytesIO()
    with tarfile.open(fileobj=base, mode="w") as archive:
        archive.add(f"{root}/bin", "bin")
    files = {"token": "old", "data/old": "old", "data/kept": "kept", "opaque/hidden": "hidden"}
    changes = {
        "token": token,
        "data/.wh.old": "",
        "opaque/.wh..wh..opq": "",
        "opaque/shown": "shown",
    }
    return [base.getvalue(), _archive(files), _archive(changes)]


def _archive(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for folder in sorted({os.path.dirname(name) for name in files} - {""}):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            if name == OWNED:  # by a name that is another number on this machine
                member.uid = member.gid = OWNER
                member.uname = member.gname = "root"
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def write(folder: str, layers: Sequence[bytes]) -> str:
    """Write an OCI layout, and return the digest of its manifest."""
    os.makedirs(f"{folder}/blobs/sha256")
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": digests},
    }
    entries = [_keep(folder, LAYER, layer) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _keep(folder, CONFIG, json.dumps(config).encode()),
        "layers": entries,
    }
    entry = _keep(folder, MANIFEST, json.dumps(manifest).encode())
    index = {"schemaVersion": 2, "manifests": [entry]}
    Path(folder, "index.json").write_text(json.dumps(index), encoding="utf-8")
    Path(folder, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return str(entry["digest"])


def _keep(folder: str, kind: str, content: bytes) -> dict[str, str | int]:
    name = hashlib.sha256(content).hexdigest()
    Path(folder, "blobs/sha256", name).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}


def digest_of(folder: str) -> str:
    """Return one digest of all names and contents below a folder."""
    found = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        found.update(str(path.relative_to(folder)).encode() + b"\0")
        if path.is_file():
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
