"""The fuzzers of texts and requests, for some cases with a fixed seed."""

import pytest

from tests.fuzz import dockerfiles, ignored, requests, runner, shims

SEED = 14


def test_no_dockerfile_crashes_or_holds_the_reader() -> None:
    with dockerfiles.opened() as target:
        result = runner.run(target, SEED, cases=2000)
    assert result.findings == []
    assert result.answers.keys() >= {"read", "refused", "words refused"}


def test_no_pattern_crashes_or_holds_the_matcher_and_each_answer_is_right() -> None:
    with ignored.opened() as target:
        result = runner.run(target, SEED, cases=5000)
    assert result.findings == []
    assert result.answers.keys() >= {"matched", "not matched", "refused"}


@pytest.mark.root
def test_no_request_crashes_or_grows_the_daemon() -> None:
    with requests.opened() as target:
        result = runner.run(target, SEED, cases=600)
    assert result.findings == []


@pytest.mark.root
def test_no_message_takes_a_shim_along() -> None:
    with shims.opened() as target:
        result = runner.run(target, SEED, cases=40)
    assert result.findings == []
