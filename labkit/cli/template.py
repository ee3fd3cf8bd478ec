"""The part of Go's templates that people use with `inspect -f`: `{{.State.Pid}}`, `{{json .}}`."""

import json

from labkit.cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPEN, CLOSE = "{{", "}}"


def fill(template: str, data: object) -> str:
    """The template with every `{{.Path}}` and `{{json .Path}}` replaced; UsageError."""
    result, rest = "", template
    while OPEN in rest:
        before, _, rest = rest.partition(OPEN)
        action, closed, rest = rest.partition(CLOSE)
        if not closed:
            raise UsageError(f"template '{template}': {OPEN} without {CLOSE}")
        result += before + _value(action.strip(), data, template)
    return result + rest


def _value(action: str, data: object, template: str) -> str:
    function, _, path = action.rpartition(" ")
    if function.strip() not in ("", "json") or not path.startswith("."):
        raise UsageError(
            f"template '{template}': {OPEN}{action}{CLOSE} is not understood; "
            "there are {{.Field.Field}} and {{json .Field}}"
        )
    value = _look_up(data, path, template)
    if function:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _shown(value)


def _look_up(data: "Any", path: str, template: str) -> object:
    for name in filter(None, path.split(".")):
        if not isinstance(data, dict) or name not in data:
            raise UsageError(f"template '{template}': there is no {path}: no field {name}")
        data = data[name]
    return data


def _shown(value: object) -> str:
    """As Go prints it: `true`, `[a b]`, `map[a:1]`, `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_shown(item)}' for key, item in sorted(value.items()))}]"
    return str(value)
