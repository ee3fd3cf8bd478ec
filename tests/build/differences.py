"""Where buildah makes something else of a Dockerfile than docker and labkit do, and why."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.build.cases import Answer


class Difference(NamedTuple):
    """One thing of one case."""

    case: str
    what: str
    """`fails`, or `files PATH`, `config FIELD`, `gone`, `author`."""

    def __str__(self) -> str:
        return f"{self.case}: {self.what}"


REASONS = {
    Difference("copy-several-to-file", "fails"): "buildah makes the folder, without a / at its end",
    Difference(
        "escape-directive", "config Env"
    ): "buildah takes \\ as an escape in values all the same",
    Difference("expose", "config ExposedPorts"): "buildah keeps a range as it is written",
    Difference("expose-bad", "fails"): "buildah takes any text for a port",
    Difference(
        "onbuild-copies-from-stage", "fails"
    ): "buildah does not look for stages in triggers, and takes the name for an image's",
    Difference("shell-changes", "config Cmd"): "buildah asks SHELL for RUN alone",
    Difference("stage-case", "fails"): "buildah compares the names of stages letter for letter",
    Difference("volume-forms", "files c"): "buildah makes a volume's folder in the image",
    Difference("volume-forms", "files d e"): "buildah makes a volume's folder in the image",
}


WITH_VERSION: dict[str, dict[Difference, str]] = {
    "1.39": {
        Difference(name, "config WorkingDir"): "buildah writes the folder where Docker says nothing"
        for name in ("copy-from-image", "from-scratch-copy")
    }
    | {
        Difference("volume-loses-later-writes", "files v/after"): "buildah keeps what is written "
        "to a volume's folder after VOLUME",
    },
}
"""What only one of the recorded versions does."""


def reasons(version: str) -> dict[Difference, str]:
    """The listed differences of a version of buildah (`1.39`)."""
    return REASONS | WITH_VERSION.get(version, {})


def compared(case: str, docker: Answer, buildah: Answer) -> Iterator[Difference]:
    """What differs between two answers."""
    if "fails" in docker or "fails" in buildah:
        if docker != buildah:
            yield Difference(case, "fails")
        return
    for field in ("files", "config"):
        for name in sorted(docker[field].keys() | buildah[field].keys()):
            if docker[field].get(name) != buildah[field].get(name):
                yield Difference(case, f"{field} {name}")
    for field in ("gone", "author"):
        if docker[field] != buildah[field]:
            yield Difference(case, field)
