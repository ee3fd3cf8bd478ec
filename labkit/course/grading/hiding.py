"""The files that a submission must not see: the exercises' modules, with their judges."""

import os
import re

from labkit.course import exercises

_MODULE = re.compile(r"ex\d\d\.py")


def paths() -> list[str]:
    """The chapters' modules, and what Python has kept of them."""
    folder = os.path.dirname(os.path.abspath(exercises.__file__))
    modules = [f"{folder}/{name}" for name in sorted(os.listdir(folder)) if _MODULE.fullmatch(name)]
    return [*modules, f"{folder}/__pycache__"]
