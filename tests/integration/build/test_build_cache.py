"""Which steps the cache finds again: a step with files is known by what its files depend on."""

import json

import pytest

from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def built():
    with running_lab() as lab:
        yield lab


def build(lab, text, *flags):
    """Build a Dockerfile that comes on standard input."""
    done = lab.cli("build", *flags, "-", input=text)
    assert done.returncode == 0, done.stdout + done.stderr


def run(lab, image, *words):
    return lab.cli("run", "--rm", "--network", "none", image, *words, check=True).stdout


WORDS_ABOVE = """FROM busybox
LABEL v={0}
MAINTAINER m{0}
EXPOSE {0}
CMD ["{0}"]
HEALTHCHECK CMD x{0}
STOPSIGNAL {0}
VOLUME /v{0}
{1}
WORKDIR /w
COPY <<EOF /copied
text
EOF
RUN cat /proc/sys/kernel/random/uuid > /when
RUN true
ENTRYPOINT ["e{0}"]
FROM busybox
COPY --from=0 /when /
"""


def test_words_about_an_image_change_no_key_of_a_command(built):
    whens = {}
    for number, line in (
        (1, ""),
        (2, ""),
        (3, "ENV A=1"),
        (4, "USER 0:5"),
        (5, "ARG B=3\nRUN echo $B"),
        (6, "ARG B=4\nRUN echo $B"),
    ):
        build(built, WORDS_ABOVE.format(number, line), "-t", f"words:{number}")
        whens[number] = run(built, f"words:{number}", "cat", "/when")
    assert whens[1] == whens[2]
    # A command sees ENV and USER, and follows commands that ran.
    assert len(set(whens.values())) == 5

    build(built, WORDS_ABOVE.format(2, ""), "--target", "0", "-t", "words:all")
    config = json.loads(built.cli("inspect", "words:all", check=True).stdout)[0]["Config"]
    assert config["Labels"]["v"] == "2"
    assert (config["Cmd"], config["Entrypoint"]) == (["2"], ["e2"])
    assert config["Volumes"] == {"/v2": {}}


def test_a_removed_image_leaves_no_key(built):
    text = "FROM busybox\nLABEL v={0}\nRUN cat /proc/sys/kernel/random/uuid > /when\n"
    build(built, text.format(1), "-t", "left:1")
    before = run(built, "left:1", "cat", "/when")
    assert built.cli("rmi", "-f", "left:1").returncode == 0
    build(built, text.format(2), "-t", "left:2")
    assert run(built, "left:2", "cat", "/when") != before
