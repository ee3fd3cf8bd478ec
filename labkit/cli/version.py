"""`labkit version`: the command's version and the engine's."""

import os
import platform
import sys

from labkit import __version__
from labkit.cli.command import Command, Context
from labkit.client.api import API_VERSION, Api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("", at_most=0)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's names of machines, and Docker's."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Both; starts no daemon, for what is asked is what there is."""
    machine = os.uname().machine
    sys.stdout.write(f"""Client:
 Version:      {__version__}
 API version:  {API_VERSION}
 Python:       {platform.python_version()}
 OS/Arch:      linux/{ARCHITECTURES.get(machine, machine)}
""")
    server = Api(context.paths.socket).get("/version")
    sys.stdout.write(f"""
Server:
 Version:      {server["Version"]}
 API version:  {server["ApiVersion"]} (minimum version {server["MinAPIVersion"]})
 OS/Arch:      {server["Os"]}/{server["Arch"]}
 Kernel:       {server["KernelVersion"]}
""")
    return 0
