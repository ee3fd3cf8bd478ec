"""Files of a container as tar archives (`/containers/{id}/archive`)."""

import binascii
import json

from labkit.client.api import Api, container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from labkit.client.http import Response

STAT_HEADER = "x-docker-container-path-stat"
GO_DIRECTORY = 1 << 31
"""The bit of a directory in a mode of Go (package io/fs, FileMode)."""


class PathStat:
    """A file in a container: its name, size in bytes, mode (Go's), and link target."""

    def __init__(self, fields: "dict[str, Any]") -> None:
        self.fields = fields
        self.name = str(fields["name"])
        self.is_directory = bool(fields["mode"] & GO_DIRECTORY)
        self.link_target = str(fields.get("linkTarget") or "")


def path_stat(api: Api, container: str, path: str) -> PathStat:
    """Return the facts of a file; NotFoundError if the container or the path is missing."""
    return _stat(api.head(f"{container_path(container)}/archive", path=path))


def get_archive(api: Api, container: str, path: str) -> "tuple[Response, PathStat]":
    """Return a tar archive of a path; its first member has the path's last name."""
    response = api.stream("GET", f"{container_path(container)}/archive", path=path)
    return response, _stat(response.headers)


def put_archive(
    api: Api, container: str, path: str, pieces: "Iterable[bytes]", *, as_user: bool = False
) -> None:
    """Unpack a tar archive in a folder of the container.

    A folder is not replaced by a file, nor a file by a folder.  `as_user` keeps the archive's
    numbers of users and groups.
    """
    response = api.upload(
        f"{container_path(container)}/archive",
        pieces,
        "PUT",
        path=path,
        noOverwriteDirNonDir="true",
        copyUIDGID="true" if as_user else None,
    )
    response.read()


def _stat(headers: "dict[str, str]") -> PathStat:
    return PathStat(json.loads(binascii.a2b_base64(headers[STAT_HEADER])))
