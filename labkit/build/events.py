"""The events of a build, as values: each way to show a build has words for them.

Docker's classic API shows them as text (`labkit.build.telling`), BuildKit's as steps with a state
each (`labkit.buildkit.progress`).
"""

from typing import NamedTuple

from labkit.build.dockerfile.model import Instruction


class Step(NamedTuple):
    """One instruction that a build carries out."""

    stage: int
    """The number of its stage; -1 for an ARG before the first FROM."""
    place: int
    """Which one of its stage it is; 0 is FROM."""
    number: int
    """Which one of all it is, from 1; 0 for one that ONBUILD has kept."""
    total: int
    """How many there are in all."""
    instruction: Instruction


class Begun(NamedTuple):
    """A step begins; `shown` is its instruction with the variables put in."""

    step: Step
    shown: str


class Cached(NamedTuple):
    """An earlier build has made the step."""

    step: Step


class Printed(NamedTuple):
    """A step's command has printed something, on stream 1 or 2."""

    step: Step
    stream: int
    data: bytes


class Ended(NamedTuple):
    """A step is done, or has failed."""

    step: Step
    error: Exception | None = None


class Resolving(NamedTuple):
    """The image of this name is looked for."""

    name: str


class Resolved(NamedTuple):
    """The image is here, or could not be pulled."""

    name: str
    error: Exception | None = None


class Pulled(NamedTuple):
    """A registry's answer brings news of an image, in the words of the classic API's stream."""

    message: dict[str, object]


class Said(NamedTuple):
    """Something that only the classic builder says."""

    text: str


class Built(NamedTuple):
    """The image is there."""

    image_id: str


Event = Begun | Cached | Printed | Ended | Resolving | Resolved | Pulled | Said | Built
