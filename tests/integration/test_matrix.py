"""The same commands by every client, to labkit and to Docker, and what comes back compared.

`tests/matrix` has the cases, the listed differences, and Docker's answers where none can be asked.
"""

from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import pytest

from tests.lab import running_lab, template_root
from tests.matrix import cases, comparison
from tests.matrix.conversation import hold
from tests.matrix.differences import DIFFERENCES
from tests.matrix.speakers import TO_LABKIT, to_docker
from tests.oracle import running_oracle, works

pytestmark = pytest.mark.root
CASES = cases.read()
FEWEST = {"labkit": 400, "docker-20": 400, "docker-28": 400, "docker-py": 150}
"""How many commands each must have said: one that has no words for anything would agree."""


def ask_docker():
    """What Docker answers: this machine's dockerd, if it is the one that was recorded."""
    version, answers = comparison.recorded()
    if works():
        with running_oracle() as oracle:
            if oracle.version() == version:
                return hold(to_docker(oracle), CASES)
    return answers


def ask_labkit(name):
    with running_lab() as lab:
        return hold(TO_LABKIT[name](lab), CASES)


@pytest.fixture(scope="module")
def answers():
    """All answers, by speaker; Docker's under `docker`."""
    template_root()  # made once, before several ask for it
    with ThreadPoolExecutor() as pool:
        docker = pool.submit(ask_docker)
        others = {name: pool.submit(ask_labkit, name) for name in TO_LABKIT}
        return {"docker": docker.result()} | {n: each.result() for n, each in others.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("speaker", TO_LABKIT)
def test_it_is_as_with_docker(answers, speaker, case):
    for step in case.steps:
        answer = answers[speaker].get(step.key)
        found = comparison.differences(speaker, step.key, answers["docker"].get(step.key), answer)
        unlisted = [line for line, entry in found if entry is None]
        assert not unlisted, (step.line, unlisted, answer)


@pytest.mark.parametrize("entry", [entry for entry in DIFFERENCES if entry.always], ids=str)
def test_a_listed_difference_is_there(answers, entry):
    """What has been mended is struck off the list."""
    speakers = [name for name in TO_LABKIT if fnmatchcase(name, entry.speaker)]
    if not speakers:
        pytest.skip("needs docker 28")
    assert any(
        entry in [listed for _, listed in comparison.differences(name, key, docker, answer)]
        for name in speakers
        for key, docker in answers["docker"].items()
        if (answer := answers[name].get(key))
    )


@pytest.mark.parametrize("speaker", TO_LABKIT)
def test_it_had_words_for_most(answers, speaker):
    said = [answer for answer in answers[speaker].values() if answer is not None]
    assert len(said) >= FEWEST[speaker], len(said)
