"""`labkit events`: the engine's events, live."""

import sys
import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.base.plain import shown
from labkit.client.api import filters_json
from labkit.client.events import events
from labkit.dialect.moments import parse_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("filter", "f", "list", "Show those that match (event=die, container=web, …)"),
        Flag("format", "", "string", "Show a template ({{.Action}} {{.Actor.ID}}), or json"),
        Flag("since", "", "string", "Begin with those since a time (or 10m: ten minutes ago)"),
        Flag("until", "", "string", "End at this time"),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a line for each event, until ctrl-C or the time of `--until`."""
    template = None
    if options["format"]:
        from labkit.cli.show.template import Template  # noqa: PLC0415 only with a template

        form = options["format"]
        template = Template("{{json .}}" if form == "json" else form)
    now = time.time()
    query = {name: _unix_time(options[name], now) for name in ("since", "until")}
    filters = filters_json(filters_from(options["filter"]))
    try:
        for event in events(context.api(), filters=filters, **query):
            sys.stdout.write(shown(f"{template.fill(event) if template else line(event)}\n"))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 0  # the only way to end it
    return 0


def line(event: "dict[str, Any]") -> str:
    """Return `2026-01-31T12:00:00.000000000+01:00 container die 0123… (exitCode=0, name=web)`."""
    attributes = event["Actor"].get("Attributes") or {}
    said = ", ".join(f"{name}={value}" for name, value in sorted(attributes.items()))
    inside = f" ({said})" if said else ""
    when = local_time(event.get("timeNano") or event["time"] * 10**9)
    return f"{when} {event['Type']} {event['Action']} {event['Actor']['ID']}{inside}"


def local_time(nanoseconds: int) -> str:
    """Return a Unix time as RFC 3339, in the local zone, with all its digits."""
    seconds, rest = divmod(nanoseconds, 10**9)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{rest:09}{zone[:3]}:{zone[3:]}"


def _unix_time(text: str, now_s: float) -> str | None:
    return f"{parse_s(text, now_s):.9f}" if text else None
