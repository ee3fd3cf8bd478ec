"""`labkit commit`: make an image of a container and its changes."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.images import split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    (
        Flag("author", "a", "string", "Its author: 'John Hannibal Smith <hannibal@a-team.com>'"),
        Flag("change", "c", "list", "Set a property of the image by a Dockerfile instruction"),
        Flag("message", "m", "string", "Note in the image's history"),
        Flag("pause", "p", "bool", "Freeze the container for it (default true)", initial=True),
    ),
    at_least=1,
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the id of the new image."""
    container, reference = arguments[0], arguments[1] if len(arguments) > 1 else ""
    repository, tag = split_tag(reference)
    made = context.api().post(
        "/commit",
        container=container,
        repo=repository or None,
        tag=tag or None,
        author=options["author"] or None,
        comment=options["message"] or None,
        changes=options["change"] or None,
        pause="1" if options["pause"] else "0",
    )
    print(made["Id"])
    return 0
