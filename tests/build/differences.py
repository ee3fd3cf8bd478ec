"""Where builders make different things of a Dockerfile, and why.

labkit follows BuildKit, also when it is asked by Docker's classic API.
"""

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


FROM_CLASSIC = {
    Difference("arg-ends-with-stage", "files out"): "a stage has the ARGs of the stage it is from",
    Difference("copy-from-image", "config WorkingDir"): "an image from scratch has the folder /",
    Difference("copy-no-match", "fails"): "a pattern may match nothing",
    Difference("from-scratch-copy", "config WorkingDir"): "an image from scratch has the folder /",
    Difference(
        "volume-loses-later-writes", "files v/after"
    ): "what is written to a volume's folder after VOLUME stays",
}
"""Where labkit and BuildKit differ from docker's classic builder."""

FROM_BUILDKIT = {
    Difference("chown-unknown", "fails"): "labkit says that the name is not there; BuildKit takes "
    "root, silently",
    Difference("copy-several-to-file", "fails"): "labkit wants a / at the end; BuildKit copies one "
    "over the other",
    Difference("onbuild-copies-from-stage", "fails"): "labkit finds stages that triggers need",
    Difference("stage-case", "fails"): "the name of a stage has no case in labkit",
}
"""Where labkit differs from BuildKit, as docker's classic builder does."""


FROM_BUILDKIT_26 = {
    Difference("arg-targetstage", "files x"): "TARGETSTAGE came with a later frontend",
    Difference("arg-targetstage-default", "files x"): "TARGETSTAGE came with a later frontend",
    Difference(
        "copy-chmod-symbolic", "files x"
    ): "a later frontend reads letters; this one ignores --chmod",
    Difference("heredoc-copy-several-no-slash", "fails"): "labkit wants a / at the end; BuildKit "
    "copies one over the other",
    Difference(
        "stage-target-number", "fails"
    ): "labkit takes a stage's number, as docker's classic builder does",
    Difference("copy-chmod-bad", "fails"): "a later frontend refuses such a mode; this one takes 0",
    Difference(
        "copy-chmod-variable", "files f"
    ): "a later frontend puts variables in; this one ignores --chmod",
    Difference(
        "copy-link-folder", "files d"
    ): "--link makes a layer that knows nothing of the one below; dockerd 26 cannot, and copies",
}
"""Where labkit differs from the BuildKit of dockerd 26.1 in the cases of `tests.dockerfiles`."""


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
