"""A container's files: copied in and out (`cp`), exported as a whole, compared with the image."""

import base64
import os
import stat
from collections.abc import Iterator
from itertools import chain

import msgspec

from labkit.containers import Engine
from labkit.containers.trees.worker import FileStat
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, Stream, json_response
from labkit.dialect.moments import timestamp
from labkit.images.archives.compression import plain_chunks

TAR = "application/x-tar"
OCTETS = "application/octet-stream"

GO_KINDS = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
"""The bits of a file's mode in Go (package io/fs, FileMode), which the API uses."""


def look(engine: Engine, request: Request, ref: str) -> Answer:
    """`HEAD /containers/{id}/archive?path=`: the properties of the file, in a header."""
    found = engine.files.stat(ref, request.query.text("path"))
    return Response(200, headers=_stat_header(found))


def get(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/archive?path=`: a tar archive of the file or folder."""
    found, chunks = engine.files.pack(ref, request.query.text("path"))
    return Stream(chunks, TAR, _stat_header(found))


def put(engine: Engine, request: Request, ref: str) -> Answer:
    """`PUT /containers/{id}/archive?path=&noOverwriteDirNonDir=&copyUIDGID=`: unpack the body.

    The body may be compressed.
    """
    query = request.query
    engine.files.place(
        ref,
        query.text("path"),
        plain_chunks(request.body_file()),
        keep_kinds=query.flag("noOverwriteDirNonDir"),
        as_user=query.flag("copyUIDGID"),
    )
    return Response(200)


def export(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/export`: a tar archive of the whole root file system."""
    return Stream(_begun(engine.files.export(ref)), OCTETS)


def changes(engine: Engine, request: Request, ref: str) -> Answer:
    """`GET /containers/{id}/changes`: the differences from the image."""
    found = [{"Path": path, "Kind": kind} for path, kind in engine.files.changes(ref)]
    return json_response(found or None)


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Get the first chunk now, so that an error before it has its own HTTP status."""
    return chain([next(chunks)], chunks)


def _stat_header(found: FileStat) -> tuple[tuple[str, str], ...]:
    mode = stat.S_IMODE(found.mode) & 0o777 | GO_KINDS[stat.S_IFMT(found.mode)]
    for bit, go_bit in GO_BITS:
        mode |= go_bit if found.mode & bit else 0
    shown = {
        "name": os.fsencode(found.name).decode(errors="replace"),
        "size": found.size_bytes,
        "mode": mode,
        "mtime": timestamp(found.mtime_ns),
        "linkTarget": os.fsencode(found.link_target).decode(errors="replace"),
    }
    encoded = base64.b64encode(msgspec.json.encode(shown)).decode()
    return (("X-Docker-Container-Path-Stat", encoded),)
