"""`labkit version`: the command's version and the engine's."""

import os
import platform
import sys

from labkit import API_VERSION, __version__
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.api import Api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (Flag("format", "f", "string", "Show a template ({{.Server.Version}}), or json"),),
    at_most=0,
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Docker's name for each of the kernel's names of machines."""
CLIENT = """Client:
 Version:      {Version}
 API version:  {ApiVersion}
 Python:       {Python}
 OS/Arch:      {Os}/{Arch}
"""
SERVER = """
Server:
 Version:      {Version}
 API version:  {ApiVersion} (minimum version {MinAPIVersion})
 OS/Arch:      {Os}/{Arch}
 Kernel:       {KernelVersion}
"""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print both versions; this starts no daemon, for it reports the present state."""
    machine = os.uname().machine
    client = {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "Python": platform.python_version(),
        "Os": "linux",
        "Arch": ARCHITECTURES.get(machine, machine),
    }
    if not options["format"]:
        sys.stdout.write(CLIENT.format(**client))
    server = Api(context.paths.socket).get("/version")
    if options["format"]:
        from labkit.cli.show.template import fill  # noqa: PLC0415 only with a template

        form = "{{json .}}" if options["format"] == "json" else options["format"]
        print(fill(form, {"Client": client, "Server": server}))
    else:
        sys.stdout.write(SERVER.format(**server))
    return 0
