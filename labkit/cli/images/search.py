"""`labkit search`: search a registry for images."""

import json
import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.client.api import filters_json
from labkit.client.credentials import CredentialFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] TERM",
    (
        Flag("filter", "f", "list", "Show those that match (is-official=true, stars=3)"),
        FORMAT,
        Flag("limit", "", "int", "Show so many at most (default 25)"),
        Flag("no-trunc", "", "bool", "Show descriptions in full"),
    ),
    at_least=1,
    at_most=1,
)
HEADINGS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}
COLUMNS = ("Name", "Description", "StarCount", "IsOfficial")
DESCRIPTION_CHARACTERS = 45


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table, the most starred first."""
    (term,) = arguments
    response = context.api().send(
        "GET",
        "/images/search",
        {"X-Registry-Auth": CredentialFile().header_for(term)},
        term=term,
        limit=options["limit"] or None,
        filters=filters_json(filters_from(options["filter"])),
    )
    found = json.loads(response.read())
    found.sort(key=lambda image: -image["star_count"])
    rows = [_row(image, full=options["no_trunc"]) for image in found]
    sys.stdout.write(render(options["format"], HEADINGS, COLUMNS, rows))
    return 0


def _row(image: "dict[str, Any]", *, full: bool) -> Row:
    description = " ".join(image["description"].split())
    if not full and len(description) > DESCRIPTION_CHARACTERS:
        description = f"{description[: DESCRIPTION_CHARACTERS - 1]}…"
    return Row(
        {
            "Name": image["name"],
            "Description": description,
            "StarCount": image["star_count"],
            "IsOfficial": "[OK]" if image["is_official"] else "",
            "IsAutomated": "[OK]" if image["is_automated"] else "",
        }
    )
