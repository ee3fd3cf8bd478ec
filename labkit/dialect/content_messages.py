"""The messages for blobs in a folder of the client.

Source: containerd's `api/services/content/v1/content.proto`.
"""

from typing import Annotated

from msgspec import Struct

SERVICE = "/containerd.services.content.v1.Content"
STORE = "buildkit-attachable-store-id"
"""The header that names the folder: `local:` and its path."""
PIECE_BYTES = 256 << 10
"""The size of a piece, in both directions."""


class ContentInfo(Struct):
    """One blob."""

    digest: Annotated[str, 1] = ""
    size: Annotated[int, 2] = 0


class ContentInfoRequest(Struct):
    """`Content/Info`: the request for a blob's size; NOT_FOUND without it."""

    digest: Annotated[str, 1] = ""


class ContentInfoResponse(Struct):
    """The answer."""

    info: Annotated[ContentInfo | None, 1] = None


class ReadContentRequest(Struct):
    """`Content/Read`: a blob from an offset on; 0 bytes mean all of it."""

    digest: Annotated[str, 1] = ""
    offset: Annotated[int, 2] = 0
    size: Annotated[int, 3] = 0


class ReadContentResponse(Struct):
    """A piece of it."""

    offset: Annotated[int, 1] = 0
    data: Annotated[bytes, 2] = b""


class WriteContentRequest(Struct):
    """`Content/Write`: a piece of a blob; `ref` names the transfer."""

    action: Annotated[int, 1] = 0
    ref: Annotated[str, 2] = ""
    total: Annotated[int, 3] = 0
    expected: Annotated[str, 4] = ""
    offset: Annotated[int, 5] = 0
    data: Annotated[bytes, 6] = b""


class WriteContentResponse(Struct):
    """The answer to a piece."""

    action: Annotated[int, 1] = 0
    offset: Annotated[int, 4] = 0
    total: Annotated[int, 5] = 0
    digest: Annotated[str, 6] = ""


WRITE, COMMIT = 1, 2
"""The actions of `Content/Write`."""
