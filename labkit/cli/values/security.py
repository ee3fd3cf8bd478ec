"""`--cap-add`, `--cap-drop` and `--security-opt`, read as Docker's command reads them."""

import json

from labkit.cli.base.errors import BAD_FLAG, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALL = "ALL"
UNCONFINED_PATHS = "systempaths=unconfined"
SECCOMP = "seccomp"


def capabilities(options: "dict[str, Any]") -> "dict[str, list[str]]":
    """Return the names in full and in order; one that is added and dropped is added."""
    added, dropped = _names(options["cap_add"]), _names(options["cap_drop"])
    return {"cap_add": sorted(added), "cap_drop": sorted(dropped - added)}


def _names(given: "list[str]") -> "set[str]":
    names = {_full(name) for name in given}
    return {ALL} if ALL in names else names


def _full(name: str) -> str:
    name = name.strip().upper()
    return name if name == ALL or name.startswith("CAP_") else f"CAP_{name}"


def security(given: "list[str]") -> "dict[str, Any]":
    """Return the options, with the text of a seccomp profile for its file's name; UsageError."""
    found: dict[str, Any] = {"security_opt": [_with_profile(text) for text in given]}
    if UNCONFINED_PATHS in given:
        # Only the command knows this word: the engine has lists of the paths.
        found["security_opt"].remove(UNCONFINED_PATHS)
        found |= {"masked_paths": [], "readonly_paths": []}
    return found


def _with_profile(text: str) -> str:
    name, separator, value = text.partition("=") if "=" in text else text.partition(":")
    if not separator and name != "no-new-privileges":
        raise UsageError(f'Invalid --security-opt: "{text}"', BAD_FLAG)
    if name != SECCOMP or value in ("unconfined", "builtin"):
        return text
    try:
        with open(value, encoding="utf-8") as file:
            return f"{SECCOMP}={json.dumps(json.load(file), separators=(',', ':'))}"
    except OSError as error:
        why = f"open {value}: {(error.strerror or '').lower()}"
        raise UsageError(f"opening seccomp profile ({value}) failed: {why}", BAD_FLAG) from error
    except ValueError as error:
        message = f"compacting json for seccomp profile ({value}) failed: {error}"
        raise UsageError(message, BAD_FLAG) from error
