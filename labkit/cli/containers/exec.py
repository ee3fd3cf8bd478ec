"""`labkit exec`: start another process in a running container."""

import contextlib
import os

from labkit.cli.attached.streams import DETACH_KEYS, STDIN, check_is_terminal, console_size
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.values.environment import environment
from labkit.client.api import container_path
from labkit.client.exit_code import exec_exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.api import Api

COMMAND = Command(
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    (
        Flag("detach", "d", "bool", "Leave it running in the background"),
        DETACH_KEYS,
        Flag("env", "e", "list", "Set an environment variable (NAME=value, or NAME for ours)"),
        Flag("env-file", "", "list", "Read environment variables from a file", word="path"),
        Flag("interactive", "i", "bool", "Pass our stdin on to it"),
        Flag("privileged", "", "bool", "Give it every capability, and no filter of system calls"),
        Flag("tty", "t", "bool", "Give it a terminal"),
        Flag("user", "u", "string", "User name or UID (name|uid[:group|gid])"),
        Flag("workdir", "w", "string", "Working directory inside the container"),
    ),
    at_least=2,
    interspersed=False,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Return the process's exit code; 0 with `--detach`, or if the user detaches."""
    attached = not options["detach"]
    if options["tty"] and options["interactive"] and attached:
        check_is_terminal()
    container, *command = arguments
    body: dict[str, object] = {
        "AttachStdin": options["interactive"] and attached,
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Cmd": command,
        "DetachKeys": options["detach_keys"],
        "Env": environment(options),
        "Privileged": options["privileged"],
        "Tty": options["tty"],
        "User": options["user"],
        "WorkingDir": options["workdir"],
    }
    if options["tty"]:
        body["ConsoleSize"] = console_size()
    api = context.api()
    exec_id = api.post(f"{container_path(container)}/exec", body)["Id"]
    if not attached:
        api.post(f"/exec/{exec_id}/start", {"Detach": True, "Tty": options["tty"]})
        return 0
    return _follow(context, api, f"/exec/{exec_id}", options)


def _follow(context: Context, api: "Api", path: str, options: "dict[str, Any]") -> int:
    from labkit.cli.attached.pump import Pump, say_detached  # noqa: PLC0415 needed only here

    tty, stdin = options["tty"], options["interactive"]
    response = api.hijack(f"{path}/start", {"Detach": False, "Tty": tty})
    pump = Pump(response, tty=tty, stdin=stdin, detach_keys=options["detach_keys"])
    with contextlib.closing(pump), _terminal(context, path, is_raw=tty and stdin):
        detached = pump.run()
    if detached:
        say_detached()
        return 0
    return exec_exit_code(api, path)


def _terminal(
    context: Context, path: str, *, is_raw: bool
) -> "contextlib.AbstractContextManager[object]":
    if not (is_raw and os.isatty(STDIN)):
        return contextlib.nullcontext()
    from labkit.cli.attached.raw_terminal import RawTerminal  # noqa: PLC0415 only for terminals

    return RawTerminal(context, f"{path}/resize")
