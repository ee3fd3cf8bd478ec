"""`labkit tag`: give an image one more name."""

from labkit.cli.base.command import Command, Context
from labkit.client.api import image_path
from labkit.client.images import split_tag
from labkit.dialect.references import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", at_least=2, at_most=2)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print nothing."""
    source, target = arguments
    split(target)  # raises the error of a bad name
    repository, tag = split_tag(target)
    context.api().post(f"{image_path(source)}/tag", repo=repository, tag=tag or None)
    return 0
