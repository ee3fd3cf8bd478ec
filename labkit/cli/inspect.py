"""`labkit inspect`: everything the engine knows about containers or images."""

import json
import sys

from labkit.cli.command import Command, Context
from labkit.cli.errors import BAD_FLAG, UsageError, say
from labkit.cli.flags import Flag
from labkit.cli.template import fill
from labkit.client.api import Api, container_path, image_path
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    (
        Flag("format", "f", "string", "Show one field ({{.State.Status}}, {{json .Config}})"),
        Flag("type", "", "string", "Look only among containers, or only among images"),
    ),
    at_least=1,
)
KINDS = {"container": container_path, "image": image_path}


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """A JSON array; with `--format` a line for each."""
    kind = options["type"]
    if kind and kind not in KINDS:
        message = f'invalid argument "{kind}" for "--type" flag: it is container or image'
        raise UsageError(message, BAD_FLAG)
    api, found, exit_code = context.api(), [], 0
    for name in arguments:
        try:
            found.append(_inspect(api, name, [kind] if kind else list(KINDS)))
        except NotFoundError as error:
            say(str(error))
            exit_code = 1
    if options["format"]:
        sys.stdout.writelines(f"{fill(options['format'], each)}\n" for each in found)
    else:
        sys.stdout.write(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
    return exit_code


def _inspect(api: Api, name: str, kinds: list[str]) -> object:
    for kind in kinds:
        try:
            return api.get(f"{KINDS[kind](name)}/json")
        except NotFoundError:
            continue
    raise NotFoundError(f"No such {kinds[0] if len(kinds) == 1 else 'object'}: {name}")
