"""`labkit run`: create a container, start it, and attach to it until it ends."""

import sys

from labkit.cli.attached import streams
from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value
from labkit.cli.base.flags import Flag
from labkit.cli.values import container_flags
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
        streams.ATTACH,
        streams.DETACH_KEYS,
        streams.SIG_PROXY,
        Flag("detach", "d", "bool", "Leave it running in the background and print its ID"),
        Flag(
            "explain",
            "",
            "string",
            "Show every step of the start on stderr: the call, its reason, its duration",
            implied="text",
            word="text|json",
        ),
    ),
    at_least=1,
    interspersed=False,
    failure=125,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Return the container's exit code; 0 with `--detach`, or if the user detaches."""
    if options["explain"] not in ("", *EXPLAIN_FORMATS):
        raise bad_value(options["explain"], "--explain", "it must be text or json")
    if options["attach"] and options["detach"]:
        raise UsageError("Conflicting options: -a and -d", BAD_FLAG)
    attach = [] if options["detach"] else streams.chosen(options)
    if options["tty"] and "stdin" in attach:
        streams.check_is_terminal()
    body = container_flags.request_body(options, arguments, attach)
    if options["detach"]:
        return _detached(context, options, body)
    return _attached(context, options, body, attach)


def _detached(context: Context, options: "dict[str, Any]", body: dict[str, object]) -> int:
    api = context.api()
    container_id = container_flags.create(api, body, options)
    _start(api, container_id, options["explain"])
    print(container_id)
    return 0


def _attached(
    context: Context,
    options: "dict[str, Any]",
    body: dict[str, object],
    attach: "list[str]",
) -> int:
    from labkit.cli.attached.attachment import Attachment  # noqa: PLC0415 needed only here
    from labkit.cli.attached.signals import SignalProxy  # noqa: PLC0415

    api = context.api()
    with SignalProxy(context, enabled=options["sig_proxy"]) as signals:
        container_id = container_flags.create(api, body, options)
        with Attachment(
            context,
            api,
            container_id,
            removal=options["rm"],
            streams=attach,
            tty=options["tty"],
            detach_keys=options["detach_keys"],
        ) as attachment:
            _start(api, container_id, options["explain"])
            with attachment.terminal():
                if not attachment.is_raw:
                    signals.send_to(container_id)
                return attachment.follow()


def _start(api: "Api", container_id: str, explain: str) -> None:
    path = container_path(container_id)
    try:
        api.post(f"{path}/start")
    except StartError as error:
        _explain(error.steps, explain)
        raise
    if explain:
        try:
            _explain(api.get(f"{path}/steps"), explain)
        except NotFoundError:
            return  # it has ended, and the engine has forgotten it after many others with --rm


def _explain(steps: "list[dict[str, Any]]", form: str) -> None:
    if form and steps:
        from labkit.cli.show.explain import render  # noqa: PLC0415 only on request

        sys.stderr.write(render(steps, form))
