"""`POST /commit`: an image from a container."""

from labkit.containers import Engine
from labkit.containers.inside.committing import Commit
from labkit.daemon.create_body import convert
from labkit.daemon.requests import Query, Request
from labkit.daemon.responses import Answer, json_response
from labkit.errors import InvalidParameterError
from labkit.images import RuntimeConfig


def commit(engine: Engine, request: Request) -> Answer:
    """`POST /commit?container=&repo=&tag=&comment=&author=&pause=&changes=`: 201 and an id.

    The body is a configuration; the container's own fills in the rest.
    """
    query = request.query
    repository, tag = query.text("repo"), query.text("tag")
    if tag and not repository:
        raise InvalidParameterError(f"tag={tag} needs a repo")
    asked = Commit(
        reference=f"{repository}:{tag}" if tag else repository,
        author=query.text("author"),
        comment=query.text("comment"),
        changes=changes_of(query),
        config=convert(request.json(), RuntimeConfig, ""),
        pause=query.flag("pause") if query.text("pause") else True,
    )
    image = engine.commit(query.text("container"), asked)
    return json_response({"Id": image.id}, 201)


def changes_of(query: Query) -> list[str]:
    """The instructions of `changes`, which may be repeated and have several lines."""
    return [line for text in query.texts("changes") for line in text.splitlines() if line.strip()]
