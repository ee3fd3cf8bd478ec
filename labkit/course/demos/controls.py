"""The controls of a demo as data: choices, sliders, buttons."""

from typing import NamedTuple

Value = str | int


class Choice(NamedTuple):
    """One of a few words; the first is chosen at the start."""

    key: str
    label: str
    options: tuple[str, ...]

    @property
    def start(self) -> str:
        """The value at the beginning."""
        return self.options[0]


class Slide(NamedTuple):
    """A whole number between two others."""

    key: str
    label: str
    low: int
    high: int
    step: int
    start: int


class Press(NamedTuple):
    """A button."""

    key: str
    label: str
    start: str = ""


Control = Choice | Slide | Press
