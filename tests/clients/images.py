"""A registry that serves images by the names that the suites want.

Each is labkit's busybox, some with programs of this machine and the libraries of these.  Engines
reach it as a mirror of the registry that names without a host belong to.
"""

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from labkit.images import ImageStore
from tests.images import temporary_folder
from tests.lab import template_root
from tests.registries import CONFIG, LAYER, MANIFEST, LabkitRegistry, as_bytes, descriptor

PYTHON = "/usr/bin/python3"
Config = Mapping[str, object]
NAMES: Mapping[str, tuple[Sequence[str], Config]] = {
    "busybox:latest": ((), {"Cmd": ["sh"]}),
    "alpine:latest": (("alpine",), {"Cmd": ["/bin/sh"]}),
    "alpine:3.10": (("alpine", "newer"), {"Cmd": ["/bin/sh"]}),
    "python:3.13-alpine": (("python",), {"Cmd": ["python3"]}),
    "python:3.14-alpine": (("python", "newer"), {"Cmd": ["python3"]}),
    "hello-world:latest": ((), {"Cmd": ["echo", "Hello from Docker!"]}),
    "registry:2": (
        ("registry",),
        {
            "Cmd": ["serve", "/config.yml"],
            "Entrypoint": ["docker-registry"],
            "ExposedPorts": {"5000/tcp": {}},
            "Env": ["OTEL_TRACES_EXPORTER=none"],
        },
    ),
}
"""Name of an image: its layers above busybox, and its configuration."""
PASSWD = b"root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n"
GROUP = b"root:x:0:\npostgres:x:70:\n"
REGISTRY_CONFIG = (
    b"version: 0.1\nstorage: {delete: {enabled: true}, filesystem: {rootdirectory: /data}}\n"
    b"http: {addr: ':5000'}\n"
)


@contextmanager
def serving_images() -> Iterator[str]:
    """Yield the address of a registry, which ends with the block."""
    with temporary_folder() as folder:
        registry = LabkitRegistry(str(folder))
        try:
            for name, (layers, config) in NAMES.items():
                _push(registry, name, [_layer(each) for each in layers], config)
            yield registry.address
        finally:
            registry.end()


def _push(registry: LabkitRegistry, name: str, layers: Iterable[bytes], config: Config) -> None:
    """Push busybox with more layers (uncompressed archives) and another configuration."""
    root = template_root()
    base = ImageStore(root).resolve("busybox")
    repository, _, tag = f"library/{name}".partition(":")
    blobs = [
        Path(root, "images/blobs", each.digest.replace(":", "/")).read_bytes()
        for each in base.layers
    ]
    diff_ids = list(base.diff_ids)
    for layer in layers:
        blobs.append(gzip.compress(layer, 1, mtime=0))
        diff_ids.append(descriptor("", layer)["digest"])
    document = as_bytes(
        {
            "architecture": base.architecture,
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **config, "Labels": None},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": name} for _ in diff_ids],
        }
    )
    for blob in (*blobs, document):
        registry.push_blob(repository, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, document),
        "layers": [descriptor(f"{LAYER}+gzip", blob) for blob in blobs],
    }
    registry.push_manifest(repository, tag, manifest, MANIFEST)


@cache
def _layer(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        LAYERS[name](archive)
    return buffer.getvalue()


def _python(archive: tarfile.TarFile) -> None:
    _add_program(archive, os.path.realpath(PYTHON), "usr/bin/python3")
    link = tarfile.TarInfo("usr/bin/python")
    link.type, link.linkname = tarfile.SYMTYPE, "python3"
    archive.addfile(link)
    ask = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    stdlib = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True)
    folder = stdlib.stdout.strip()
    archive.add(folder, folder.lstrip("/"), filter=_without)
    for extension in sorted(Path(folder, "lib-dynload").glob("*.so")):
        _add_libraries(archive, str(extension))


def _without(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = set(Path(member.name).parts)
    unneeded = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "dist-packages", "__pycache__"}
    return None if parts & unneeded else member


def _registry(archive: tarfile.TarFile) -> None:
    _add_program(archive, "/usr/bin/docker-registry", "usr/bin/docker-registry")
    member = tarfile.TarInfo("config.yml")
    member.size = len(REGISTRY_CONFIG)
    archive.addfile(member, io.BytesIO(REGISTRY_CONFIG))


def _newer(archive: tarfile.TarFile) -> None:
    archive.addfile(tarfile.TarInfo("newer"))


def _alpine(archive: tarfile.TarFile) -> None:
    """Add what tests expect of Alpine beside busybox: a user, and a folder."""
    for name, content in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    folder = tarfile.TarInfo("var/opt")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(folder)


LAYERS = {"alpine": _alpine, "python": _python, "registry": _registry, "newer": _newer}


def _add_program(archive: tarfile.TarFile, path: str, name: str) -> None:
    archive.add(path, name)
    _add_libraries(archive, path)


def _add_libraries(archive: tarfile.TarFile, path: str) -> None:
    """Add the libraries that ldd(1) names, each once."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    known = set(archive.getnames())
    for word in listed.split():
        if word.startswith("/") and word.lstrip("/") not in known:
            known.add(word.lstrip("/"))
            archive.add(os.path.realpath(word), word.lstrip("/"))
