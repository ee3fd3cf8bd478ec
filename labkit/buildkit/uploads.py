"""A file on the client's standard input: `docker build - < context.tar`, over `Upload/Pull`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast
from urllib.parse import SplitResult

from labkit.build.workroom import Workroom
from labkit.buildkit.sessions import Client
from labkit.errors import LabkitError
from labkit.images.layers import limit_bytes
from labkit.rpc.tunnel import Piece

PULL = "/moby.upload.v1.Upload/Pull"


@contextmanager
def uploaded(session: Client, url: SplitResult, workroom: Workroom) -> Iterator[BinaryIO]:
    """A file that the client sends for one of its URLs, open at its beginning."""
    call = session.call(PULL, {"urlpath": [url.path], "urlhost": [url.netloc]})
    with tempfile.TemporaryFile(dir=workroom.path) as file:
        left_bytes = limit_bytes(workroom.path)
        try:
            for piece in call.messages(Piece):
                left_bytes -= len(piece.data)
                if left_bytes < 0:
                    raise LabkitError(f"the context does not fit in {workroom.path}")
                file.write(piece.data)
        finally:
            call.close()
        file.seek(0)
        yield cast("BinaryIO", file)
