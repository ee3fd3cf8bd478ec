"""An image's JSON: the line of `docker images` and the complete `docker inspect`."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from labkit.containers import Engine
from labkit.daemon.shapes.containers import JsonObject
from labkit.dialect.moments import ZERO_TIME, unix_s
from labkit.images import Image, RuntimeConfig
from labkit.images.models import MANIFEST, SCRATCH
from labkit.snapshots.record import OVERLAYFS

MISSING = "<missing>"
NOT_COUNTED = -1
"""The API's value for a figure that was not computed."""


def image_summary(image: Image, shared_bytes: int | None = None) -> JsonObject:
    """One element of `GET /images/json`; `shared_bytes`: the size it shares with other images."""
    return {
        "Id": image.id,
        "ParentId": _parent_id(image),
        "RepoTags": image.tags,
        "RepoDigests": image.repo_digests,
        "Created": int(unix_s(image.created)),
        "Size": image.size_bytes,
        "VirtualSize": image.size_bytes,
        "SharedSize": NOT_COUNTED if shared_bytes is None else shared_bytes,
        "Containers": NOT_COUNTED,
        "Labels": image.config.labels,
    }


def image_manifest(engine: Engine, image: Image) -> JsonObject:
    """The only manifest of a local image, as `docker images --tree` shows it."""
    content = image.manifest.config.size + sum(layer.size for layer in image.layers)
    users = [each.id for each in engine.list() if each.image_id == image.id]
    return {
        "ID": image.digest,
        "Descriptor": {
            "mediaType": image.manifest.media_type or MANIFEST,
            "digest": image.digest,
            "size": image.manifest.config.size,
        },
        "Available": True,
        "Kind": "image",
        "Size": {"Content": content, "Total": content + image.size_bytes},
        "ImageData": {
            "Platform": {
                "os": image.os,
                "architecture": image.architecture,
                **({"variant": image.document.variant} if image.document.variant else {}),
            },
            "Size": {"Unpacked": image.size_bytes},
            "Containers": users,
        },
    }


def image_inspection(image: Image, driver: str = OVERLAYFS) -> JsonObject:
    """The answer of `GET /images/{name}/json`."""
    history = image.history
    return {
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": image.repo_digests,
        "Parent": _parent_id(image),
        "Comment": history[-1].comment if history else "",
        "Created": image.created,
        "DockerVersion": "",
        "Author": image.document.author,
        "Config": _config(image.config),
        "Architecture": image.architecture,
        "Variant": image.document.variant,
        "Os": image.os,
        "Size": image.size_bytes,
        "VirtualSize": image.size_bytes,
        "GraphDriver": {
            "Name": driver,
            "Data": _folders(image.layer_directories()),
        },
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {"LastTagTime": image.tagged or ZERO_TIME},
    }


def image_history(
    image: Image, layer_sizes: Sequence[int], by_id: Mapping[str, Image]
) -> list[JsonObject]:
    """The answer of `GET /images/{name}/history`, the newest first.

    `by_id`: the local images.  Each line has the id of the parent image that it made, as long as
    parents are known; the others have `<missing>`.
    """
    sizes = iter(layer_sizes)
    lines: list[JsonObject] = [
        {
            "Id": MISSING,
            "Created": int(unix_s(entry.created or "")),
            "CreatedBy": entry.created_by,
            "Tags": None,
            "Size": 0 if entry.empty_layer else next(sizes, 0),
            "Comment": entry.comment,
        }
        for entry in image.history
    ]
    lines.reverse()
    known: Image | None = image
    for line in lines:
        if known is None:
            break
        line["Id"], line["Tags"] = known.id, known.tags or None
        known = by_id.get(known.parent)
    return lines


def _folders(layers: Sequence[str]) -> JsonObject:
    """The image's own layer and those below it, as Docker's overlay2 shows them."""
    upper, *lower = layers
    below: JsonObject = {"LowerDir": ":".join(lower)} if lower else {}
    return below | {"UpperDir": upper}


def _config(config: RuntimeConfig) -> JsonObject:
    shown: JsonObject = {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Entrypoint": None,
        "Cmd": None,
        "WorkingDir": "",
        "Image": "",
        "Volumes": None,
        "OnBuild": None,
        "Labels": None,
    }
    return shown | cast("JsonObject", msgspec.to_builtins(config))


def _parent_id(image: Image) -> str:
    return "" if image.parent == SCRATCH else image.parent
