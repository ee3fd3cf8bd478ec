"""`--filter NAME=VALUE`, any number of times."""

from labkit.cli.base.errors import bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def filters_from(given: "Sequence[str]") -> dict[str, list[str]]:
    """Return the values by name; UsageError, in Docker's words, if one is not `name=value`."""
    filters: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            why = "bad format of filter (expected name=value)"
            raise bad_value(text, "-f, --filter", why)
        filters.setdefault(name.strip().lower(), []).append(value.strip())
    return filters
