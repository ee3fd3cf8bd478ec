"""The corpus of small Dockerfiles: labkit makes of each what docker's classic builder does."""

import pytest

from tests.build.cases import Builder, answers, cases, write_context
from tests.lab import running_lab

pytestmark = pytest.mark.root

CASES = cases()
ASKED_AGAIN = CASES[::8]
"""Docker is asked about these whenever it can run: whether the recorded answers are still its."""


@pytest.fixture(scope="module")
def builder():
    with running_lab() as lab:
        yield Builder(lab.socket)


@pytest.fixture(scope="module")
def recorded():
    return answers()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labkit_makes_of_it_what_docker_does(case, builder, recorded, tmp_path):
    write_context(case, tmp_path)
    assert builder.answer(tmp_path) == recorded[case.name], case.rule


@pytest.mark.parametrize("case", ASKED_AGAIN, ids=lambda case: case.name)
def test_docker_still_answers_what_was_recorded(case, oracle, recorded, tmp_path):
    write_context(case, tmp_path)
    docker = Builder(oracle.docker_host.removeprefix("unix://"))
    assert docker.answer(tmp_path) == recorded[case.name]


def test_the_corpus_is_whole(recorded):
    assert len(CASES) >= 60
    assert {case.name for case in CASES} == recorded.keys()
    assert all(bool(recorded[case.name].get("fails")) == case.fails for case in CASES)
