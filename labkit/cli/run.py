"""`labkit run`: create a container, start it, and stay with it until it ends."""

import sys

from labkit.cli import container_flags
from labkit.cli.command import Command, Context
from labkit.cli.errors import BAD_FLAG, UsageError
from labkit.cli.flags import Flag
from labkit.client.api import container_path
from labkit.errors import NotFoundError, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.api import Api

EXPLAIN_FORMATS = ("text", "json")

COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    (
        *container_flags.FLAGS,
        Flag("detach", "d", "bool", "Leave it running in the background and print its ID"),
        Flag(
            "explain",
            "",
            "string",
            "Show every step of the start on stderr: the call, why it is there, how long it took",
            implied="text",
            word="text|json",
        ),
    ),
    at_least=1,
    interspersed=False,
    failure=125,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """The container's exit code; 0 with `--detach`."""
    if options["explain"] not in ("", *EXPLAIN_FORMATS):
        raise UsageError(
            f'invalid argument "{options["explain"]}" for "--explain" flag: it is text or json',
            BAD_FLAG,
        )
    body = container_flags.request_body(options, arguments)
    return (_detached if options["detach"] else _attached)(context, options, body)


def _detached(context: Context, options: "dict[str, Any]", body: dict[str, object]) -> int:
    api = context.api()
    container_id = container_flags.create(api, body, options["name"])
    _start(api, container_id, options["explain"])
    print(container_id)
    return 0


def _attached(context: Context, options: "dict[str, Any]", body: dict[str, object]) -> int:
    from labkit.cli.attachment import Attachment  # noqa: PLC0415 for this way alone
    from labkit.cli.signals import SignalProxy  # noqa: PLC0415

    api = context.api()
    with SignalProxy(context) as signals:
        container_id = container_flags.create(api, body, options["name"])
        with Attachment(context, api, container_id, removal=options["rm"]) as attachment:
            _start(api, container_id, options["explain"])
            signals.send_to(container_id)
            return attachment.follow()


def _start(api: "Api", container_id: str, explain: str) -> None:
    path = container_path(container_id)
    try:
        api.post(f"{path}/start")
    except StartError:
        if explain:
            _explain(api, path, explain)
        raise
    if explain:
        _explain(api, path, explain)


def _explain(api: "Api", path: str, form: str) -> None:
    from labkit.cli.explain import render  # noqa: PLC0415 only for who asks

    try:
        steps = api.get(f"{path}/steps")
    except NotFoundError:
        return  # it is removed already (--rm), and its steps with it
    sys.stderr.write(render(steps, form))
