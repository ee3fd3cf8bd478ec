"""`POST /commit`: an image from a container."""

import msgspec

from labkit.containers import Engine
from labkit.containers.inside.committing import Commit
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, json_response
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.images import RuntimeConfig


def commit(engine: Engine, request: Request) -> Answer:
    """`POST /commit?container=&repo=&tag=&comment=&author=&pause=&changes=`: 201 and an id.

    The body is a configuration that goes before the container's own.
    """
    query = request.query
    repository, tag = query.text("repo"), query.text("tag")
    if tag and not repository:
        raise InvalidParameterError(f"tag={tag} has no repo to be the tag of")
    asked = Commit(
        reference=f"{repository}:{tag}" if tag else repository,
        author=query.text("author"),
        comment=query.text("comment"),
        changes=query.texts("changes"),
        config=_config(request.json()),
        pause=query.flag("pause") if query.text("pause") else True,
    )
    image = engine.commit(query.text("container"), asked)
    return json_response({"Id": image.id}, 201)


def _config(body: dict[str, object]) -> RuntimeConfig:
    given = {name: value for name, value in body.items() if value is not None}
    try:
        return msgspec.convert(given, RuntimeConfig)
    except UNREADABLE as error:
        raise InvalidParameterError(str(error)) from None
