"""An image's JSON: the line of `docker images` and the whole of `docker inspect`."""

from typing import cast

import msgspec

from labkit.daemon.shapes.containers import STORAGE_DRIVER, JsonObject
from labkit.daemon.shapes.times import unix_s
from labkit.images import Image, RuntimeConfig

NOT_COUNTED = -1
"""What the API says for a figure that was not worked out."""


def repository_digests(image: Image) -> list[str]:
    """`name@sha256:…` for each name, as the API lists them."""
    names = dict.fromkeys(tag.rpartition(":")[0] for tag in image.tags)
    return [f"{name}@{image.digest}" for name in names]


def image_summary(image: Image) -> JsonObject:
    """One element of `GET /images/json`."""
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": image.tags,
        "RepoDigests": repository_digests(image),
        "Created": int(unix_s(image.created)),
        "Size": image.size_bytes,
        "VirtualSize": image.size_bytes,
        "SharedSize": NOT_COUNTED,
        "Containers": NOT_COUNTED,
        "Labels": image.config.labels,
    }


def image_inspection(image: Image) -> JsonObject:
    """The answer of `GET /images/{name}/json`."""
    history = image.history
    return {
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": repository_digests(image),
        "Parent": "",
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
            "Name": STORAGE_DRIVER,
            "Data": {"LowerDir": ":".join(image.layer_directories())},
        },
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {},
    }


def _config(config: RuntimeConfig) -> JsonObject:
    shown: JsonObject = {
        "User": "",
        "Env": None,
        "Entrypoint": None,
        "Cmd": None,
        "WorkingDir": "",
        "Volumes": None,
        "Labels": None,
    }
    return shown | cast("JsonObject", msgspec.to_builtins(config))
