"""`--filter NAME=VALUE`, as often as wanted."""

from labkit.cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def filters_from(given: "Sequence[str]") -> dict[str, list[str]]:
    """The values by name; UsageError, as Docker words it, for what is not `name=value`."""
    filters: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"invalid filter '{text}': it is NAME=VALUE")
        filters.setdefault(name.strip().lower(), []).append(value.strip())
    return filters
