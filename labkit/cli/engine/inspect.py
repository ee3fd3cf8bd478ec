"""`labkit inspect`, also after `container`, `image`, `network` or `volume`: all about objects."""

import json
import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import bad_value, say
from labkit.cli.base.flags import Flag
from labkit.cli.base.plain import shown
from labkit.cli.show.formats import Row
from labkit.cli.values.platform import PLATFORM
from labkit.client.api import Api, container_path, image_path, network_path, volume_path
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    (
        Flag("format", "f", "string", "Show a template ({{.State.Status}}, {{json .Config}})"),
        PLATFORM,
        Flag("size", "s", "bool", "Show how much a container has written"),
        Flag("type", "", "string", "Search only this type", word="container|image|volume|network"),
    ),
    at_least=1,
)
PATHS = {
    "container": lambda name: f"{container_path(name)}/json",
    "image": lambda name: f"{image_path(name)}/json",
    "volume": volume_path,
    "network": network_path,
}
"""The API's path of each kind, in the order in which a name is searched."""
LEFT_OUT: "dict[str, dict[str, object]]" = {
    "Config": {
        **{"StopSignal": "", "StopTimeout": None, "Healthcheck": None, "Shell": []},
        **{"ExposedPorts": {}, "MacAddress": "", "NetworkDisabled": False, "ArgsEscaped": False},
    },
    "HostConfig": {"Init": None, "Mounts": [], "StorageOpt": {}, "Sysctls": {}, "Tmpfs": {}},
    "State": {"Health": None},
}
"""Fields that the API leaves out if they are empty, as Docker's does; templates have them."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a JSON array; with `--format` a line for each object."""
    kind = options["type"]
    if kind and kind not in PATHS:
        raise bad_value(kind, "--type", f"it must be one of {', '.join(PATHS)}")
    kinds = [kind] if kind else list(PATHS)
    api, form, template = context.api(), options["format"], None
    if form and form != "json":
        from labkit.cli.show.template import Template  # noqa: PLC0415 only with a template

        template = Template(form)
    found, exit_code = [], 0
    for name in arguments:
        try:
            found.append(_inspect(api, name, kinds, options["size"], options["platform"]))
        except NotFoundError as error:
            say(str(error))
            exit_code = 1
    if template:
        sys.stdout.writelines(shown(f"{template.fill(_completed(each))}\n") for each in found)
    else:
        indent = None if form else 4
        sys.stdout.write(shown(json.dumps(found, indent=indent, ensure_ascii=False) + "\n"))
    return exit_code


def _completed(found: object) -> object:
    """Return the object with the fields that the API left out; `json` in a template hides them."""
    parts = found if isinstance(found, dict) else {}
    rows = {
        name: Row(part, {key: LEFT_OUT[name][key] for key in LEFT_OUT[name].keys() - part})
        for name, part in parts.items()
        if name in LEFT_OUT and isinstance(part, dict)
    }
    return {**parts, **rows} if rows else found


def _inspect(api: Api, name: str, kinds: list[str], size: bool, platform: str) -> object:
    for kind in kinds:
        asked = platform if kind == "image" else ""
        try:
            return api.get(
                PATHS[kind](name), size=size and kind == "container", platform=asked or None
            )
        except NotFoundError:
            if len(kinds) == 1:
                raise
    raise NotFoundError(f"No such object: {name}")
