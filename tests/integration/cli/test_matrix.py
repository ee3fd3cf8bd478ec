"""The same commands by every client, to labkit and to Docker, and what comes back compared.

A column for each client that speaks to labkit, and one for an older dockerd; each is compared with
the newest dockerd.

`tests/matrix` has the cases, the listed differences, and Docker's answers where none can be asked.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import running_lab, template_root
from tests.matrix import cases, comparison
from tests.matrix.answers import Answer, lines
from tests.matrix.conversation import hold
from tests.matrix.differences import DIFFERENCES, OLDER
from tests.matrix.speakers import TO_LABKIT, to_docker
from tests.oracle import running_oracle, works

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]
"""The first test waits for the answers of all."""
CASES = cases.read()
AT_ONCE = 3
"""Engines that are asked at the same time: more would be no faster, and time out on two CPUs."""
ASKED_AGAIN = 3
COLUMNS = [*TO_LABKIT, OLDER]
COMMANDS = ("docker-20", "docker-26", "docker-28")
FEWEST = {"docker-py": 150}
"""How many commands each must have said, if not 400: one with no words for any would agree."""


def ask_docker(recorded):
    """What the newest dockerd answers: the one here, if it is the one that was recorded.

    A busy one loses what a short container prints, and refuses to prune twice at a time: what it
    did not answer as it was recorded is asked again.
    """
    newest = max(recorded)
    if works():
        with running_oracle() as oracle:
            if oracle.version() == newest:
                answers = hold(to_docker(oracle), CASES)
                for _ in range(ASKED_AGAIN):
                    odd = [case for case in CASES if _is_odd(case, answers, recorded[newest])]
                    answers |= hold(to_docker(oracle), odd)
                return answers
    return recorded[newest]


def _is_odd(case, answers, recorded):
    return any(answers.get(step.key) != recorded.get(step.key) for step in case.steps)


def ask_labkit(name):
    with running_lab() as lab:
        return hold(TO_LABKIT[name](lab), CASES)


@pytest.fixture(scope="module")
def answers():
    """All answers, by speaker; the newest dockerd's under `docker`."""
    recorded = comparison.recorded()
    template_root()  # made once, before several ask for it
    with ThreadPoolExecutor(AT_ONCE) as pool:
        docker = pool.submit(ask_docker, recorded)
        others = {name: pool.submit(ask_labkit, name) for name in TO_LABKIT}
        found = {"docker": docker.result(), OLDER: recorded[min(recorded)]}
        return found | {name: each.result() for name, each in others.items()}


NEEDS = {"/proc/self/uid_map": "users", "/dev/stdin": "root's files"}
"""What a step looks at that is another without root: the id map; a pipe of root's to open again."""


def _of_root(case):
    return [
        pytest.mark.host_power(word)
        for sign, word in NEEDS.items()
        if any(sign in step.line for step in case.steps)
    ]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=_of_root(case)) for case in CASES]
)
@pytest.mark.parametrize("speaker", COLUMNS)
def test_it_is_as_with_docker(answers, speaker, case):
    for step in case.steps:
        answer = answers[speaker].get(step.key)
        found = comparison.differences(speaker, step.key, answers["docker"].get(step.key), answer)
        unlisted = [line for line, entry in found if entry is None]
        assert not unlisted, (step.line, unlisted, answer)


@pytest.mark.parametrize("entry", [entry for entry in DIFFERENCES if entry.always], ids=str)
def test_a_listed_difference_is_there(answers, entry):
    """What has been mended is struck off the list."""
    speakers = [name for name in COLUMNS if comparison.is_about(entry, name)]
    if not speakers:
        lacking = next(name for name in COMMANDS if comparison.is_about(entry, name))
        pytest.skip(f"needs {lacking.replace('-', ' ')}")
    assert any(
        entry in [listed for _, listed in comparison.differences(name, key, docker, answer)]
        for name in speakers
        for key, docker in answers["docker"].items()
        if (answer := answers[name].get(key))
    )


@pytest.mark.parametrize("speaker", TO_LABKIT)
def test_it_had_words_for_most(answers, speaker):
    said = [answer for answer in answers[speaker].values() if answer is not None]
    assert len(said) >= FEWEST.get(speaker, 400), len(said)


def test_an_answer_does_not_depend_on_the_size_and_age_of_the_image():
    """Each Debian has another busybox; what is recorded on one is compared with all."""
    shown = (
        b"busybox  latest  4 weeks ago  1.98MB\n@a  100kB (virtual 2.08MB)\n@b  About an hour ago"
    )
    assert lines(Answer(0, shown, b""), {}) == [
        "exit 0",
        "busybox   latest   <while> ago   <size>",
        "@a   100kB (virtual <size>)",
        "@b   <while> ago",
    ]
