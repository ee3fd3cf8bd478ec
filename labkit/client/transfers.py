"""Pull and push: the daemon's messages during the transfer, one after another."""

import json

from labkit.client.api import Api, image_path
from labkit.client.credentials import CredentialFile
from labkit.client.events import lines
from labkit.dialect.references import is_tagged
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def pull_events(
    api: Api, name: str, *, all_tags: bool = False, platform: str = ""
) -> "Iterator[dict[str, Any]]":
    """Pull an image with the stored credentials; yield the daemon's messages.

    NotFoundError and LabkitError for a refusal of the registry, and for an error in the stream.
    """
    image = name if all_tags or is_tagged(name) else f"{name}:latest"
    query: dict[str, object] = {"fromImage": image, "platform": platform or None}
    yield from _events(api, "/images/create", name, query)


def push_events(api: Api, name: str, *, all_tags: bool = False) -> "Iterator[dict[str, Any]]":
    """Push an image, or all tags of its repository; as `pull_events`."""
    image = name if all_tags or is_tagged(name) else f"{name}:latest"
    yield from _events(api, f"{image_path(image)}/push", name, {})


def _events(
    api: Api, path: str, name: str, query: "dict[str, object]"
) -> "Iterator[dict[str, Any]]":
    headers = {"X-Registry-Auth": CredentialFile().header_for(name)}
    response = api.send("POST", path, headers, **query)
    try:
        for line in lines(response):
            event = json.loads(line)
            if "error" in event:
                raise LabkitError(str(event["error"]))
            yield event
    finally:
        response.close()
