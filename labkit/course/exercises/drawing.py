"""Drawn values: always the same for one learner, different for two learners.

Names end in a *mark*, six letters of this learner and this exercise: the objects that an
exercise has made are found by it, and removed.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


class Dice(random.Random):
    """The random numbers of one exercise for one learner."""

    def __init__(self, token: str, number: str) -> None:
        digest = hashlib.sha256(f"{token} {number}".encode()).digest()
        super().__init__(int.from_bytes(digest))
        self.mark = self.word(syllables=3)

    def word(self, syllables: int = 2) -> str:
        """Letters that can be spoken, two for each syllable."""
        return "".join(self.choice(letters) for letters in (_CONSONANTS, _VOWELS) * syllables)

    def name(self, stem: str) -> str:
        """A name with the exercise's mark."""
        return f"{stem}-{self.mark}"

    def seconds(self) -> int:
        """A time to sleep: long, and so odd that no other process sleeps as long."""
        return self.randrange(100_000, 999_999)


class Values(Mapping[str, Any]):
    """Drawn values by name; also as attributes: `task.heavy`."""

    def __init__(self, mark: str, drawn: Mapping[str, Any]) -> None:
        self.mark = mark
        self._drawn = dict(drawn)

    def __getitem__(self, name: str) -> Any:
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._drawn:
            raise AttributeError(f"this exercise has no value {name!r}; it has: {', '.join(self)}")
        return self._drawn[name]
