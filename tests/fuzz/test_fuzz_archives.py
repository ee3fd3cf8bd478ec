"""The fuzzer of archives, for some cases with a fixed seed (`python -m tests.fuzz archives`)."""

import pytest

from tests.fuzz import archives, runner

CASES = 150
SEED = 14

pytestmark = pytest.mark.root


def test_no_archive_crashes_hangs_or_grows_the_daemon() -> None:
    with archives.opened() as target:
        result = runner.run(target, SEED, cases=CASES)
    assert result.findings == []
    assert result.cases == CASES
    assert len(result.answers) >= 10, result.answers  # every door, and most of them both ways
