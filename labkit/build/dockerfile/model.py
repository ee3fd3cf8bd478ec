"""A Dockerfile as data: its instructions, its stages."""

from collections.abc import Mapping
from typing import NamedTuple

from labkit.build.dockerfile.lines import Heredoc


class Instruction(NamedTuple):
    """One instruction: its name in capitals, its flags, and what follows them."""

    name: str
    flags: tuple[tuple[str, str], ...]
    text: str
    """What follows the flags, as it is written."""
    words: tuple[str, ...] | None
    """The same in the exec form, a JSON list; None in the shell form."""
    heredocs: tuple[Heredoc, ...]
    original: str
    """All of it on one line, as `Step 1/3 : …` shows it."""
    number: int
    """The line it begins on."""
    escape: str
    last: int = 0
    """The line it ends on, with its heredocs."""
    trigger: "Instruction | None" = None
    """For ONBUILD: the instruction that it keeps."""

    def flag(self, name: str) -> str:
        """The value of a flag, the last one given; empty if there is none."""
        return next((value for key, value in reversed(self.flags) if key == name), "")

    def flag_values(self, name: str) -> list[str]:
        """Every value of a flag that may be repeated."""
        return [value for key, value in self.flags if key == name]

    def mounts(self) -> list[dict[str, str]]:
        """The settings of each `--mount`, as they are written: neither expanded nor checked."""
        return [
            dict(part.strip().partition("=")[::2] for part in text.split(","))
            for text in self.flag_values("mount")
        ]


class Stage(NamedTuple):
    """From one FROM to the next."""

    number: int
    name: str
    """After AS, in lower case; empty if it has none."""
    base: str
    """The base image or stage that it names, not expanded."""
    platform: str
    start: Instruction
    instructions: tuple[Instruction, ...]


class Dockerfile(NamedTuple):
    """A whole Dockerfile; `arguments` are the ARGs before the first FROM."""

    file: str
    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    numbers: Mapping[str, int]
    """The number of each stage that has a name."""
