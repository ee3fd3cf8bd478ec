"""What healthchecks make of their results."""

import fcntl
import resource
import socket

import pytest

from labkit.containers.life import health
from labkit.containers.records.model import Health, HealthResult
from labkit.errors import InvalidParameterError
from labkit.images.models import Healthcheck


def judged(*codes, retries=3, lenient=()):
    state, seen = Health(), []
    for number, code in enumerate(codes):
        result = HealthResult("", "", code, str(number))
        health.judge(state, result, retries, is_lenient=number in lenient)
        seen.append(state.status)
    return state, seen


def test_one_success_is_enough_and_failures_must_be_in_a_row():
    assert judged(1, 1, 0, 1, 1, 0)[1][-4:] == ["healthy"] * 4
    state, seen = judged(0, 1, 1, 1, 1)
    assert seen == ["healthy"] * 3 + ["unhealthy"] * 2
    assert state.failing_streak == 4


def test_failures_in_the_start_period_do_not_count():
    _, seen = judged(1, 1, 1, 1, 1, retries=2, lenient=(0, 1, 2))
    assert seen == ["starting"] * 4 + ["unhealthy"]
    # Once it was healthy they do.
    assert judged(0, 1, 1, retries=2, lenient=(0, 1, 2))[1][-1] == "unhealthy"


def test_the_last_five_results_are_kept():
    state, _ = judged(*[0] * 8)
    assert [result.output for result in state.log] == ["3", "4", "5", "6", "7"]


def test_commands():
    assert health.command_of(Healthcheck(["CMD", "true", "x"])) == ["true", "x"]
    assert health.command_of(Healthcheck(["CMD-SHELL", "a && b"])) == ["/bin/sh", "-c", "a && b"]
    for asked in (None, Healthcheck(), Healthcheck(["NONE"]), Healthcheck([])):
        assert health.command_of(asked) == []


def test_what_was_asked_goes_before_what_the_image_says():
    of_image = Healthcheck(["CMD", "a"], interval=5, retries=2)
    assert health.merge(Healthcheck(retries=9), of_image) == Healthcheck(["CMD", "a"], 5, retries=9)
    assert health.merge(Healthcheck(["NONE"]), of_image).test == ["NONE"]
    assert health.merge(None, of_image) is of_image


def test_what_docker_would_not_take():
    with pytest.raises(InvalidParameterError, match="StartPeriod"):
        health.check(Healthcheck(start_period=5))
    with pytest.raises(InvalidParameterError, match="Retries"):
        health.check(Healthcheck(retries=-1))


def test_a_check_is_heard_on_any_descriptor():
    """A daemon with many clients has descriptors that select(2) does not know."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    ours, theirs = socket.socketpair()
    try:
        with socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 2000)) as high:
            theirs.close()
            assert health._read(high, 10) == ("", True)
    finally:
        ours.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
