"""Small Dockerfiles by buildx: files, owners, modes and config are those of dockerd 26's BuildKit.

Its answers are recorded (`tests.dockerfiles`).  An eighth of the cases is enough for the gate;
LABKIT_TEST_DOCKERFILES=all (`make test-dockerfiles`) builds every one, also with dockerd.
"""

import os

import pytest

from bench.systems import newest
from tests.build.cases import Builder, answers, write_context
from tests.build.differences import FROM_BUILDKIT_26, compared
from tests.buildkit import Client, client_of
from tests.dockerfiles import ANSWERS, CASES, IN_GATE
from tests.lab import running_lab

pytestmark = pytest.mark.root

IS_WHOLE = os.environ.get("LABKIT_TEST_DOCKERFILES") == "all"
DIFFERING = {each.case for each in FROM_BUILDKIT_26}
ASKED = CASES if IS_WHOLE else [c for c in CASES if c in IN_GATE or c.name in DIFFERING]


@pytest.fixture(scope="module")
def builder_and_client():
    with running_lab() as lab:
        yield Builder(lab.socket), client_of(lab)


@pytest.fixture(scope="module")
def recorded():
    return answers(ANSWERS)


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.name)
def test_labkit_makes_of_it_what_buildkit_does(case, builder_and_client, recorded, tmp_path):
    builder, client = builder_and_client
    write_context(case, tmp_path)
    answer = builder.answer_by(client, tmp_path, case.flags)
    found = set(compared(case.name, recorded[case.name], answer))
    assert found == {each for each in FROM_BUILDKIT_26 if each.case == case.name}, case.rule


if IS_WHOLE:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_buildkit_still_answers_what_was_recorded(case, oracle, recorded, tmp_path):
        write_context(case, tmp_path)
        client = Client(newest(), oracle.socket, f"{oracle.folder}/client")
        found = Builder(oracle.socket).answer_by(client, tmp_path, case.flags)
        assert found == recorded[case.name]


def test_the_cases_are_whole(recorded):
    assert len(CASES) >= 120
    assert {case.name for case in CASES} == recorded.keys()
    assert all(bool(recorded[case.name].get("fails")) == case.fails for case in CASES)
