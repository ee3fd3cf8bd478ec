"""The help pages: `labkit --help` and `labkit VERB --help`."""

import textwrap

from labkit.cli.base.terminal import width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.cli.base.command import Command
    from labkit.cli.base.flags import Flag

MAXIMUM_WIDTH = 100


def overview(verbs: "Mapping[str, Mapping[str, tuple[str, str]]]", flags: "Sequence[Flag]") -> str:
    """Return the list of all verbs, each with its summary."""
    parts = ["Usage:  labkit [OPTIONS] COMMAND", "A container engine small enough to read"]
    column = max(len(verb) for group in verbs.values() for verb in group) + 4
    for title, group in verbs.items():
        rows = [_row(f"  {verb}", column, text) for verb, (_, text) in group.items()]
        parts.append("\n".join([f"{title}:", *rows]))
    parts.append(_flag_list("Options:", flags))
    parts.append("Run 'labkit COMMAND --help' for more about a command.")
    return "\n\n".join(parts)


def command_help(verb: str, summary: str, command: "Command") -> str:
    """Return the help of one verb: its flags and arguments."""
    parts = [f"Usage:  labkit {verb} {command.usage}".rstrip(), summary]
    if command.flags:
        parts.append(_flag_list("Options:", command.flags))
    return "\n\n".join(parts)


def _flag_list(title: str, flags: "Sequence[Flag]") -> str:
    left = [_left(flag) for flag in sorted(flags, key=lambda flag: flag.name)]
    column = max(map(len, left)) + 3
    texts = [flag.help for flag in sorted(flags, key=lambda flag: flag.name)]
    rows = [_row(*row) for row in zip(left, [column] * len(left), texts, strict=True)]
    return "\n".join([title, *rows])


def _left(flag: "Flag") -> str:
    short = f"-{flag.short}," if flag.short else "   "
    if flag.kind == "bool":
        value = ""
    else:
        value = f" {flag.word}" if flag.implied is None else f"[={flag.word}]"
    return f"  {short} --{flag.name}{value}"


def _row(left: str, column: int, text: str) -> str:
    return textwrap.fill(
        text,
        min(width(), MAXIMUM_WIDTH),
        initial_indent=left.ljust(column),
        subsequent_indent=" " * column,
        break_on_hyphens=False,
    )
