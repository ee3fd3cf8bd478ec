"""Dockerfiles that only BuildKit reads: `cases/NAME.case`, in the form of `tests.build.cases`.

`buildkit.json` is what the BuildKit of dockerd 26.1 made of each, through buildx;
`python -m tests.build.record dockerfiles` asks again.
"""

from pathlib import Path

from tests.build.cases import cases

FOLDER = Path(__file__).parent
ANSWERS = FOLDER / "buildkit.json"
CASES = cases(FOLDER / "cases")
IN_GATE = CASES[::8]
"""A part that takes seconds; LABKIT_TEST_DOCKERFILES=all asks for the others, too."""
