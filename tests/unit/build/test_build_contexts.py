"""Which files of a context a build asks for beforehand."""

import pytest

from labkit.build.context.contexts import wanted
from labkit.build.dockerfile.parser import parse


def of(text: str) -> list[str] | None:
    stages = parse(f"FROM busybox AS a\n{text}\n".encode()).stages
    return wanted(instruction for stage in stages for instruction in stage.instructions)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("COPY a ./b/ /c/", ["a", "b"]),
        ("ADD /x.tar https://example.org/y /c/", ["x.tar"]),
        ('COPY ["a b", "/c"]', ["a b"]),
        ("COPY --from=a /etc/passwd /p", []),
        ("COPY <<EOF /x\nhello\nEOF", []),
        ("COPY *.py src/*/x /c/", ["*.py", "src/*/x"]),
        ("RUN --mount=type=bind,source=s,target=/s true", ["s"]),
        ("RUN --mount=type=cache,target=/s true\nRUN true", []),
        ("RUN --mount=from=a,target=/s true", []),
    ],
)
def test_what_is_named_is_asked_for(text: str, paths: list[str]) -> None:
    assert of(text) == paths


@pytest.mark.parametrize(
    "text",
    [
        *("COPY . /c", "COPY / /c", "COPY a/.. /c", "COPY $A /c", "COPY **/x /c", "COPY ../x /c"),
        *('COPY a"b" /c', "RUN --mount=target=/c true", "COPY a\\ b /c"),
    ],
)
def test_everything_is_asked_for_where_that_cannot_be_told(text: str) -> None:
    assert of(text) is None
