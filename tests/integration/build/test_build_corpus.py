"""The corpus of small Dockerfiles: labkit makes of each what docker's two builders do.

By the classic API and by buildx, but for what is listed with its reason.  And buildah, a builder of
other people's, makes the same but for what is listed.
"""

import pytest

from bench.peer import MissingPeerError
from bench.systems import every, newest
from tests.build.buildah import Buildah
from tests.build.cases import (
    BUILDKIT_ANSWERS,
    Builder,
    answers,
    buildah_answers,
    cases,
    write_context,
)
from tests.build.differences import FROM_BUILDKIT, FROM_CLASSIC, compared, reasons
from tests.buildkit import Client, client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root

CASES = cases()
ASKED_AGAIN = CASES[::8]
"""Docker is asked about these whenever it can run: whether the recorded answers are still its."""

BUILDAH_ASKED_AGAIN = CASES[::16]
"""Fewer: it takes a second or two for each."""


@pytest.fixture(scope="module")
def builder():
    with running_lab() as lab:
        yield Builder(lab.socket)


@pytest.fixture(scope="module")
def lab_client():
    with running_lab() as lab:
        yield Builder(lab.socket), client_of(lab)


@pytest.fixture(scope="module")
def buildkit_s():
    return answers(BUILDKIT_ANSWERS)


def listed(case, differences):
    return {each for each in differences if each.case == case.name}


@pytest.fixture(scope="module")
def recorded():
    return answers()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labkit_makes_of_it_what_docker_does(case, builder, recorded, tmp_path):
    write_context(case, tmp_path)
    found = set(compared(case.name, recorded[case.name], builder.answer(tmp_path)))
    assert found == listed(case, FROM_CLASSIC), case.rule


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labkit_makes_of_it_what_buildkit_does(case, lab_client, buildkit_s, tmp_path):
    builder, client = lab_client
    write_context(case, tmp_path)
    found = set(compared(case.name, buildkit_s[case.name], builder.answer_by(client, tmp_path)))
    assert found == listed(case, FROM_BUILDKIT), case.rule


@pytest.mark.parametrize("case", ASKED_AGAIN, ids=lambda case: case.name)
def test_buildkit_still_answers_what_was_recorded(case, oracle, buildkit_s, tmp_path):
    write_context(case, tmp_path)
    client = Client(newest(), oracle.socket, f"{oracle.folder}/client")
    assert Builder(oracle.socket).answer_by(client, tmp_path) == buildkit_s[case.name]


@pytest.mark.parametrize("case", ASKED_AGAIN, ids=lambda case: case.name)
def test_docker_still_answers_what_was_recorded(case, oracle, recorded, tmp_path):
    write_context(case, tmp_path)
    docker = Builder(oracle.docker_host.removeprefix("unix://"))
    assert docker.answer(tmp_path) == recorded[case.name]


def test_the_corpus_is_whole(recorded):
    assert len(CASES) >= 60
    assert {case.name for case in CASES} == recorded.keys()
    assert all(bool(recorded[case.name].get("fails")) == case.fails for case in CASES)


@pytest.mark.parametrize(("version", "path"), buildah_answers().items())
def test_buildah_makes_of_it_what_docker_does_but_for_what_is_listed(version, path, recorded):
    others, listed = answers(path), reasons(version).keys()
    assert others.keys() == recorded.keys()
    found = {
        difference
        for name, answer in recorded.items()
        for difference in compared(name, answer, others[name])
    }
    unlisted, stale = found - listed, listed - found
    assert not unlisted, "\n".join(map(str, sorted(unlisted)))
    assert not stale, "listed, but no difference any more:\n" + "\n".join(map(str, sorted(stale)))


@pytest.fixture(scope="module", params=every(), ids=lambda system: system.release)
def buildah(request, tmp_path_factory):
    with running_lab() as lab:
        try:
            asked = Buildah(lab, tmp_path_factory.mktemp("buildah"), request.param)
        except MissingPeerError as error:
            pytest.skip(f"needs buildah: {error}")
        yield asked
        asked.close()


@pytest.mark.parametrize("case", BUILDAH_ASKED_AGAIN, ids=lambda case: case.name)
def test_buildah_still_answers_what_was_recorded(case, buildah, tmp_path):
    write_context(case, tmp_path)
    written = buildah_answers()
    version = buildah.version()
    assert version in written, f"python -m tests.build.record buildah would record {version}"
    assert buildah.answer(tmp_path) == answers(written[version])[case.name]
