"""The flags `run` and `create` share, and the request they become."""

import os
import sys

from labkit.cli.errors import BAD_FLAG, UsageError
from labkit.cli.flags import Flag
from labkit.client.create import create_body
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.api import Api

FLAGS = (
    Flag("cpu-shares", "c", "int", "CPU shares: the weight beside other containers (default 1024)"),
    Flag("cpus", "", "decimal", "Number of CPUs it may use, such as 1.5", word="number"),
    Flag("cpuset-cpus", "", "string", "The CPUs it may run on (0-3, 0,1)"),
    Flag("entrypoint", "", "string", "Replace the ENTRYPOINT of the image", initial=None),
    Flag("env", "e", "list", "Set an environment variable (NAME=value, or NAME to pass ours on)"),
    Flag("hostname", "h", "string", "Host name (default: the container's short ID)"),
    Flag("init", "", "bool", "Run an init as process 1 that forwards signals and reaps processes"),
    Flag("label", "l", "list", "Attach a label (name=value)"),
    Flag("memory", "m", "bytes", "Memory limit, such as 200m"),
    Flag("memory-swap", "", "bytes", "Limit of memory plus swap; -1 for unlimited swap"),
    Flag("name", "", "string", "Name the container"),
    Flag("network", "", "string", "Network: none or host (default none)", initial="none"),
    Flag("pids-limit", "", "int", "How many processes it may have; -1 for any number"),
    Flag("read-only", "", "bool", "Mount the container's root file system read-only"),
    Flag("rm", "", "bool", "Remove the container when it ends"),
    Flag("user", "u", "string", "User name or UID (name|uid[:group|gid])"),
    Flag("without", "", "list", "Leave out a step of the start, to see what it does", word="step"),
    Flag("workdir", "w", "string", "Working directory inside the container"),
)


def request_body(options: "dict[str, Any]", arguments: list[str]) -> dict[str, object]:
    """What is sent to the engine for these options, and for IMAGE [COMMAND]; UsageError."""
    image, *command = arguments
    entrypoint = options["entrypoint"]
    return create_body(
        image,
        command or None,
        auto_remove=options["rm"],
        cpu_shares=options["cpu_shares"],
        cpuset_cpus=options["cpuset_cpus"],
        # An empty one, `--entrypoint ""`, takes the image's away.
        entrypoint=None if entrypoint is None else [entrypoint],
        environment=[_variable(text) for text in options["env"]] or None,
        hostname=options["hostname"],
        init=options["init"] or None,
        labels=options["label"] or None,
        mem_limit=options["memory"],
        memswap_limit=options["memory_swap"],
        nano_cpus=options["cpus"],
        network_mode=options["network"],
        pids_limit=options["pids_limit"] or None,
        read_only=options["read_only"],
        user=options["user"],
        without=options["without"],
        working_dir=options["workdir"],
    )


def _variable(text: str) -> str:
    """`NAME=value` as it is; a bare `NAME` with our own value, if we have one."""
    name, equals, _ = text.partition("=")
    if not name:
        raise UsageError(
            f'invalid argument "{text}" for "-e, --env" flag: it has no name', BAD_FLAG
        )
    if equals or name not in os.environ:
        return text
    return f"{name}={os.environ[name]}"


def create(api: "Api", body: dict[str, object], name: str) -> str:
    """Create the container and print the engine's warnings; the container's id.

    NotFoundError if there is no such image, with what to do.
    """
    try:
        created = api.post("/containers/create", body, name=name or None)
    except NotFoundError as error:
        reference = str(error).removeprefix("No such image: ")
        raise NotFoundError(
            f"Unable to find image '{reference}' locally: "
            "'labkit images' lists what is here, 'labkit import' adds one"
        ) from error
    for warning in created.get("Warnings") or []:
        sys.stderr.write(f"WARNING: {warning}\n")
    return str(created["Id"])
