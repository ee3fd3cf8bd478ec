"""What BuildKit reads in a Dockerfile where the classic builder reads something else.

Each expected output is what dockerd 26.1's BuildKit printed.
"""

import re

import pytest

from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root

CASES = {
    "a heredoc's name with quotes within": (
        'FROM busybox\nRUN cat <<EO"F" > /x && cat /x\n$HOME\nEOF\n',
        ["$HOME"],
    ),
    "WORKDIR belongs to USER": (
        "FROM busybox\nUSER 55:66\nWORKDIR /app\nRUN touch f && stat -c %u:%g /app f\n",
        ["55:66", "55:66"],
    ),
    "EXPOSE takes a variable with two ports": (
        'FROM busybox\nENV P="80 81"\nEXPOSE $P\nRUN echo ok\n',
        ["ok"],
    ),
    "an empty destination is the working folder": (
        "FROM busybox\nWORKDIR /w\nARG empty\nCOPY f $empty\nRUN ls /w\n",
        ["f"],
    ),
    "folders that are made belong to --chown": (
        "FROM busybox\nCOPY --chown=5:6 d /n/d/\nRUN stat -c %u:%g /n /n/d /n/d/g\n",
        ["5:6", "5:6", "5:6"],
    ),
    "--chown of a name has the group of that user": (
        "FROM busybox\nRUN echo me:x:7:9::/: >> /etc/passwd\nCOPY --chown=me f /f\n"
        "RUN stat -c %u:%g /f\n",
        ["7:9"],
    ),
    "the escape makes any character of a heredoc plain": (
        "FROM busybox\nCOPY <<EOF /x\na\\\nb \\$HOME \\\\ c\nEOF\nRUN cat /x\n",
        ["a", "b $HOME \\ c"],
    ),
    "a cache mount may say that it is written": (
        "FROM busybox\nRUN --mount=type=cache,target=/c,rw touch /c/x && echo ok\n",
        ["ok"],
    ),
    "a stage has the ARGs of the stage it is from": (
        "FROM busybox AS one\nARG A=1\nFROM one\nRUN echo [$A]\n",
        ["[1]"],
    ),
    "what is written below a VOLUME stays": (
        "FROM busybox\nRUN mkdir /v\nVOLUME /v\nRUN echo x > /v/a\nRUN cat /v/a\n",
        ["x"],
    ),
}


@pytest.fixture(scope="module")
def client():
    with running_lab() as lab:
        yield client_of(lab)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "f").write_text("x\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").write_text("g")
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_it_is_read_as_buildkit_reads_it(client, folder, name):
    text, wanted = CASES[name]
    (folder / "Dockerfile").write_text(text)
    said = client.build(folder, "--no-cache", "--network", "none")
    assert re.findall(r"^#\d+ \d+\.\d+ (.*)$", said, re.MULTILINE) == wanted
