"""Reading flags as Docker's command does (Go's pflag), and describing them in data.

`argparse` would do most of it.  It cannot tell `--explain IMAGE` from `--explain=json`, does not
know `--rm=false`, has other words for every mistake, and takes longer to import than all of this
command's own modules; the rules are few, so they are written out here:

    --name=value  --name value  --switch  --switch=false  -n value  -nvalue  -n=value  -it  --
"""

from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value
from labkit.dialect.sizes import parse_size
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Options = dict[str, Any]

NANOS = 10**9
LONGEST_S = 2**63 / NANOS
"""The longest duration that the API accepts."""
_OF_KIND = object()


class HelpRequested(Exception):  # noqa: N818 not an error
    """`--help` was among the flags."""


class Flag:
    """One flag.  `kind` names the reader of the value (`KINDS`), `word` stands for it in the help.

    `implied` is the value of a flag without one (`--explain`); such a flag takes a value only after
    `=`.  `initial` is the value of a flag that is not given, if it differs from its kind's.
    """

    __slots__ = ("help", "implied", "initial", "kind", "name", "short", "word")

    def __init__(
        self,
        name: str,
        short: str,
        kind: str,
        help: str,  # noqa: A002 its real name
        *,
        implied: object = None,
        initial: object = _OF_KIND,
        word: str = "",
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.implied = True if kind == "bool" else implied
        self.initial = initial
        self.word = word or kind

    @property
    def key(self) -> str:
        """The flag's name among the options: `cpu_shares` for `--cpu-shares`."""
        return self.name.replace("-", "_")

    @property
    def spelling(self) -> str:
        """The flag in messages: `-c, --cpu-shares`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def parse(
    flags: "Sequence[Flag]", words: "Sequence[str]", *, interspersed: bool = True
) -> "tuple[Options, list[str]]":
    """Return the options by key, and the arguments.

    Unless `interspersed`, flags end at the first argument: the rest belongs to the container's
    command.  UsageError; HelpRequested.
    """
    reader = _Reader(flags, words)
    arguments: list[str] = []
    while reader.left:
        word = reader.next()
        if word == "--":
            arguments += reader.rest()
        elif word.startswith("--"):
            reader.read_long(word)
        elif word.startswith("-") and word != "-":
            reader.read_short(word)
        else:
            arguments.append(word)
            if not interspersed:
                arguments += reader.rest()
    return reader.options, arguments


class _Reader:
    def __init__(self, flags: "Sequence[Flag]", words: "Sequence[str]") -> None:
        self.by_name = {flag.name: flag for flag in flags}
        self.by_short = {flag.short: flag for flag in flags if flag.short}
        self.left = list(reversed(words))
        self.options: Options = {}
        for flag in flags:
            initial = KINDS[flag.kind][1] if flag.initial is _OF_KIND else flag.initial
            self.options[flag.key] = [] if flag.kind == "list" else initial

    def next(self) -> str:
        return self.left.pop()

    def rest(self) -> list[str]:
        words = self.left[::-1]
        self.left = []
        return words

    def read_long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        if not name:
            raise UsageError(f"bad flag syntax: {word}", BAD_FLAG)
        flag = self.by_name.get(name)
        if flag is None:
            if name == "help":
                raise HelpRequested
            raise UsageError(f"unknown flag: --{name}{self._meant(name)}", BAD_FLAG)
        if equals:
            self._set(flag, value)
        elif flag.implied is not None:
            self.options[flag.key] = flag.implied
        elif self.left:
            self._set(flag, self.next())
        else:
            raise UsageError(f"flag needs an argument: --{name}", BAD_FLAG)

    def read_short(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self.by_short.get(letter)
            if flag is None:
                if letter == "h":
                    raise HelpRequested
                raise UsageError(f"unknown shorthand flag: '{letter}' in {word}", BAD_FLAG)
            if letters.startswith("="):
                return self._set(flag, letters[1:])
            if flag.implied is not None:
                self.options[flag.key] = flag.implied
            elif letters:
                return self._set(flag, letters)
            elif self.left:
                return self._set(flag, self.next())
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in {word}", BAD_FLAG)
        return None

    def _set(self, flag: Flag, text: str) -> None:
        read = KINDS[flag.kind][0]
        try:
            value = read(text)
        except (ValueError, InvalidParameterError) as error:
            raise bad_value(text, flag.spelling, str(error)) from None
        if flag.kind == "list":
            self.options[flag.key].append(value)
        else:
            self.options[flag.key] = value

    def _meant(self, name: str) -> str:
        import difflib  # noqa: PLC0415 only after a typing error

        close = difflib.get_close_matches(name, self.by_name, 1)
        return f" (did you mean --{close[0]}?)" if close else ""


def parse_cpus(text: str) -> int:
    """Return `1.5` CPUs as 1500000000 (10⁻⁹ CPUs); ValueError."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("a number of CPUs is needed, such as 1.5")
    if len(fraction.rstrip("0")) > 9:
        raise ValueError("the smallest part of a CPU is 0.000000001")
    return int(whole or "0") * NANOS + int(fraction[:9].ljust(9, "0"))


def _parse_bool(text: str) -> bool:
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError("true or false is needed")


def _parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is needed") from None


def _parse_nanoseconds(text: str) -> int:
    from labkit.dialect.durations import parse_ns  # noqa: PLC0415 rarely given

    nanoseconds = parse_ns(text)
    if nanoseconds is None:
        raise ValueError("a duration is needed, such as 1m30s")
    return nanoseconds


KINDS: "dict[str, tuple[Callable[[str], object], object]]" = {
    "bool": (_parse_bool, False),
    "bytes": (parse_size, 0),
    "decimal": (parse_cpus, 0),
    "duration": (_parse_nanoseconds, 0),
    "int": (_parse_int, 0),
    "list": (str, None),
    "string": (str, ""),
}
"""The reader of a flag's value, and the value of a flag that is not given."""
