"""The part of Go's templates that people use with `--format`: parsing, and filling in.

Fields (`.State.Pid`, `$.Name`), variables, pipes, parentheses, `if`, `with`, `range`, `else`, and
the functions of `template_functions` beside this file, with Go's own meaning
(pkg.go.dev/text/template); `define`, `template` and `block` are missing, and an error says so.
"""

import re

from labkit.cli.base.errors import UsageError
from labkit.cli.show.template_functions import FUNCTIONS, TemplateError, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Node = tuple[Any, ...]
    Functions = Mapping[str, Callable[..., object]]

_ACTION = re.compile(
    r"\{\{(?P<trim_before>- )?\s*(?:/\*.*?\*/|(?P<code>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?))"
    r"\s*(?P<trim_after> -)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:\\.|[^\"\\])*\"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?\b)"
    r"|(?P<path>\$?\w*(?:\.\w+)+|\$\w*|\.)|(?P<name>[A-Za-z_]\w*)|(?P<mark>:=|[=,()|]))"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
LITERALS = {"true": True, "false": False, "nil": None}
BLOCKS = ("if", "with", "range")
LEFT_OUT = ("define", "template", "block", "break", "continue")


def fill(template: str, data: object) -> str:
    """Return the template filled with the data; UsageError."""
    return Template(template).fill(data)


class Template:
    """A parsed template; UsageError, with the place, if it is invalid."""

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._nodes = _Parser(text).nodes()
        except TemplateError as error:
            raise self._explained(error) from None

    def fill(self, data: object, functions: "Functions" = FUNCTIONS) -> str:
        """Return the text for these data; UsageError if they lack a field, or a function fails."""
        try:
            return "".join(_Filler(data, functions).all(self._nodes, data))
        except TemplateError as error:
            raise self._explained(error) from None

    def _explained(self, error: TemplateError) -> UsageError:
        return UsageError(f"template '{self._text}': {error}")


class _Parser:
    """Reads actions; `_pipe` and the functions below read their inside, word by word."""

    def __init__(self, text: str) -> None:
        self._pieces = list(_pieces(text))
        self._tokens: list[tuple[str, str]] = []

    def nodes(self) -> "list[Node]":
        nodes, end = self._until("end", "else")
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return nodes

    def _until(self, *ends: str) -> "tuple[list[Node], str]":
        """Return the nodes up to one of these words, and its action; or to the end."""
        nodes: list[Node] = []
        while self._pieces:
            kind, text = self._pieces.pop(0)
            if kind == "text":
                nodes.append(("text", text))
                continue
            word = text.split(" ", 1)[0]
            if word in ends:
                return nodes, text
            nodes.append(self._action(word, text))
        return nodes, ""

    def _action(self, word: str, text: str) -> "Node":
        if word in LEFT_OUT:
            raise TemplateError(f"{{{{{word}}}}} is a part of Go's templates that labkit lacks")
        if word in BLOCKS:
            return self._block(word, text[len(word) :])
        names, pipe = self._read(text)
        return ("print", names, pipe)

    def _block(self, word: str, condition: str) -> "Node":
        names, pipe = self._read(condition)
        body, end = self._until("end", "else")
        otherwise: list[Node] = []
        if end.startswith("else"):
            rest = end.removeprefix("else").strip()
            if rest:  # {{else if …}} is one block within another, and shares its end
                otherwise = [self._block(*_split_word(rest))]
                return (word, names, pipe, body, otherwise)
            otherwise, end = self._until("end")
        if not end:
            raise TemplateError(f"{{{{{word}}}}} without {{{{end}}}}")
        return (word, names, pipe, body, otherwise)

    def _read(self, text: str) -> "tuple[list[str], Node]":
        """Read `$a, $b := PIPE`: the names, and their value."""
        self._tokens = list(_tokens(text))
        names: list[str] = []
        for index, (_, word) in enumerate(self._tokens):
            if word in (":=", "="):
                names = [word for _, word in self._tokens[:index] if word != ","]
                self._tokens = self._tokens[index + 1 :]
                break
        pipe = self._pipe()
        if self._tokens:
            raise TemplateError(f"unexpected '{self._tokens[0][1]}' in {{{{{text.strip()}}}}}")
        return names, pipe

    def _pipe(self) -> "Node":
        commands = [self._command()]
        while self._tokens and self._tokens[0][1] == "|":
            self._tokens.pop(0)
            commands.append(self._command())
        return ("pipe", commands)

    def _command(self) -> "list[Node]":
        operands = []
        while self._tokens and self._tokens[0][1][0] not in "|)":
            operands.append(self._operand(*self._tokens.pop(0)))
        if not operands:
            raise TemplateError("an action, or a part of one, is empty")
        return operands

    def _operand(self, kind: str, word: str) -> "Node":
        if kind == "string":
            return ("literal", _unquoted(word))
        if kind == "number":
            return ("literal", float(word) if "." in word else int(word))
        if kind == "path":
            base, *names = word.split(".")
            return ("path", base, [name for name in names if name])
        if kind == "name":
            return ("literal", LITERALS[word]) if word in LITERALS else ("function", word)
        if word != "(":
            raise TemplateError(f"unexpected '{word}'")
        pipe = self._pipe()
        if not self._tokens:
            raise TemplateError("the template has a ( without a )")
        _, closing = self._tokens.pop(0)
        return ("inner", pipe, closing.split(".")[1:])


class _Filler:
    """Fills in one set of data."""

    def __init__(self, data: object, functions: "Functions") -> None:
        self._functions = functions
        self._variables: dict[str, object] = {"$": data}

    def all(self, nodes: "list[Node]", dot: object) -> "Iterator[str]":
        for kind, *parts in nodes:
            yield from getattr(self, f"_{kind}")(dot, *parts)

    def _text(self, dot: object, text: str) -> "Iterator[str]":
        yield text

    def _print(self, dot: object, names: list[str], pipe: "Node") -> "Iterator[str]":
        value = self._value(pipe, dot)
        if names:
            self._variables[names[0]] = value
        else:
            yield shown(value)

    def _if(self, dot: object, names: list[str], pipe: "Node", *bodies: "Any") -> "Iterator[str]":
        value = self._value(pipe, dot, lenient=True)
        self._variables |= dict.fromkeys(names, value)
        yield from self.all(bodies[0] if value else bodies[1], dot)

    def _with(self, dot: object, names: list[str], pipe: "Node", *bodies: "Any") -> "Iterator[str]":
        value = self._value(pipe, dot, lenient=True)
        self._variables |= dict.fromkeys(names, value)
        yield from self.all(bodies[0], value) if value else self.all(bodies[1], dot)

    def _range(
        self, dot: object, names: list[str], pipe: "Node", *bodies: "Any"
    ) -> "Iterator[str]":
        value: Any = self._value(pipe, dot, lenient=True)
        if value and not isinstance(value, (list, dict)):
            raise TemplateError(f"range cannot iterate over {shown(value)}")
        pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or []))
        if not pairs:
            yield from self.all(bodies[1], dot)
        for key, item in pairs:
            # One variable is the value, two are the key and the value.
            self._variables |= dict(zip(names, (key, item) if len(names) == 2 else (item,)))  # noqa: B905
            yield from self.all(bodies[0], item)

    def _value(self, pipe: "Node", dot: object, *, lenient: bool = False) -> object:
        """Return a pipe's value; if `lenient` (conditions) a missing field is nil."""
        passed: list[object] = []
        for command in pipe[1]:
            passed = [self._run(command, dot, passed, lenient)]
        return passed[0]

    def _run(
        self, command: "list[Node]", dot: object, passed: list[object], lenient: bool
    ) -> object:
        (kind, *parts), *rest = command
        if kind != "function":
            value = self._operand(command[0], dot, lenient)
            arguments = [self._operand(operand, dot, lenient) for operand in rest] + passed
            if callable(value):
                return value(*arguments)
            if arguments:
                raise TemplateError("a field or a value takes no arguments")
            return value
        function = self._functions.get(parts[0])
        if function is None:
            known = ", ".join(sorted(self._functions))
            raise TemplateError(f"unknown function '{parts[0]}'; known are {known}")
        lenient = lenient or parts[0] in ("and", "or", "not")
        arguments = [self._operand(operand, dot, lenient) for operand in rest] + passed
        try:
            return function(*arguments)
        except (TypeError, ValueError, AttributeError):
            given = ", ".join(map(shown, arguments)) or "nothing"
            raise TemplateError(f"function '{parts[0]}' cannot take {given}") from None

    def _operand(self, operand: "Node", dot: object, lenient: bool) -> object:
        kind, first, *rest = operand
        if kind == "literal":
            return first
        if kind == "function":
            return self._run([operand], dot, [], lenient)
        if kind == "inner":
            return _field(self._value(first, dot, lenient=lenient), rest[0], lenient)
        if first and first not in self._variables:
            raise TemplateError(f"undefined variable {first}")
        return _field(self._variables[first] if first else dot, rest[0], lenient)


MAPS = frozenset({
    *("Annotations", "Attributes", "Containers", "DriverOpts", "ExposedPorts", "Labels"),
    *("Networks", "Options", "PortBindings", "Ports", "Sysctls", "Tmpfs", "Volumes"),
})  # fmt: skip
"""Fields of the API with names that the user chose: a missing one is no mistake."""
NO_VALUE = "<no value>"
"""Go's templates print this for it."""


def _field(value: "Any", names: list[str], lenient: bool) -> object:
    for at, name in enumerate(names):
        methods = getattr(value, "methods", {})
        if name in methods:
            value = methods[name]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, dict) and at and names[at - 1] in MAPS:
            return NO_VALUE
        elif lenient and (value is None or isinstance(value, dict)):
            return None
        else:
            raise TemplateError(f"there is no field {name} in .{'.'.join(names)}")
    return value


def _pieces(text: str) -> "Iterator[tuple[str, str]]":
    """Yield the text between actions, and the actions; `{{-` and `-}}` trim the text."""
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        _check_text(before)
        before = before.lstrip() if trim else before
        yield "text", before.rstrip() if match["trim_before"] else before
        position, trim = match.end(), bool(match["trim_after"])
        if match["code"] is not None:
            yield "action", match["code"].strip()
    _check_text(text[position:])
    yield "text", text[position:].lstrip() if trim else text[position:]


def _check_text(text: str) -> None:
    if "{{" in text:
        raise TemplateError("{{ without }}")


def _tokens(code: str) -> "Iterator[tuple[str, str]]":
    position = 0
    code = code.rstrip()
    while position < len(code):
        match = _TOKEN.match(code, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"'{code[position:].strip()}' cannot be read")
        position = match.end()
        kind, word = match.lastgroup, match[match.lastgroup]
        if word == ")":  # the fields of the value in parentheses: (index .Mounts 0).Source
            fields = re.compile(r"(?:\.\w+)*").match(code, position)
            word += fields[0] if fields else ""
            position = fields.end() if fields else position
        yield kind, word


def _split_word(text: str) -> tuple[str, str]:
    word, _, rest = text.partition(" ")
    if word not in BLOCKS:
        raise TemplateError(f"unexpected '{word}' after else")
    return word, rest


def _unquoted(word: str) -> str:
    if word.startswith("`"):
        return word[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), word[1:-1])
