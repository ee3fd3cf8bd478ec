"""A build's lines read as steps, what the steps have added, and the picture; a package archive."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.course.dockerfile.apt_repository import AptRepository
from labkit.course.dockerfile.build_graph import (
    GIVEN,
    HIT,
    MISS,
    Build,
    Builds,
    changes,
    effects,
    steps_of,
)

LINES = [
    (0.5, "Step 1/3 : FROM busybox"),
    (0.5, " ---> 0123456789ab"),
    (1.0, "Step 2/3 : COPY page /srv/"),
    (1.1, " ---> Using cache"),
    (1.1, " ---> Cache hit: the same image below"),
    (1.1, " ---> 123456789abc"),
    (1.5, "Step 3/3 : RUN make"),
    (1.6, " ---> Cache miss: the instruction is new here; before it was: RUN x"),
    (1.7, " ---> Running in 23456789abcd"),
    (2.0, "it makes"),
]
FAILED = [(3.0, "labkit: The command '/bin/sh -c make' returned a non-zero code: 2")]
MADE = [
    (3.0, "Removing intermediate container 23456789abcd"),
    (3.0, " ---> 3456789abcde"),
    (3.5, "Successfully built 3456789abcde"),
]


def test_steps_with_what_the_cache_had_and_their_time() -> None:
    first, copied, ran = steps_of(LINES + MADE, 4.5)
    assert (first.cache, first.image, first.took_s) == (GIVEN, "0123456789ab", 0.5)
    assert (copied.number, copied.words, copied.cache) == (2, "COPY page /srv/", HIT)
    assert (ran.cache, ran.image, ran.took_s) == (MISS, "3456789abcde", 3.0)
    assert ran.why.startswith("the instruction is new here")
    assert ran.output == ("it makes",)


def test_a_step_that_failed_has_no_image() -> None:
    *_, ran = steps_of(LINES + FAILED, 3.0)
    assert ran.image == ""
    assert ran.output == ("it makes",)


def test_builds_as_table_and_picture() -> None:
    good = Build("good", tuple(steps_of(LINES + MADE, 4.0)), 4.0)
    bad = Build("bad", tuple(steps_of(LINES + FAILED, 3.0)), 3.0, "it returned 2")
    both = Builds([good, bad])
    assert good.caches() == [HIT, MISS]
    assert both.table().column("cache") == ("–", HIT, MISS, "–", HIT, MISS)
    figure = both.plot()
    assert "RUN make – made; it failed: it returned 2." in figure.alt
    assert figure.png.startswith(b"\x89PNG")


def image(layers: int, size: int, **config: Any) -> dict[str, Any]:
    return {"RootFS": {"Layers": ["x"] * layers}, "Size": size, "Config": config}


def test_what_each_instruction_has_added() -> None:
    steps = list(steps_of(LINES + MADE, 4.0))
    images = [image(1, 100), image(2, 112, User=""), image(2, 112, User="nobody", Image="sha256:1")]
    images[1]["Author"] = images[2]["Author"] = "ann"
    assert effects(steps, images).rows == (
        ("COPY page /srv/", "12B", "Author=ann"),
        ("RUN make", "–", "User=nobody"),
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"Env": ["A=1"]}, {"Env": ["A=1", "B=2"]}, "Env=B=2"),
        ({"Labels": None}, {"Labels": {"a": "b"}}, "Labels=a=b"),
        ({}, {"ExposedPorts": {"80/tcp": {}}}, "ExposedPorts=80/tcp"),
        ({"User": "root"}, {"User": ""}, "User="),
        ({"Cmd": None}, {"Cmd": []}, ""),
    ],
)
def test_changes_of_a_configuration(
    before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    assert changes(before, after) == words


@pytest.fixture
def archive() -> Iterator[AptRepository]:
    repository = AptRepository()
    yield repository
    repository.close()


def test_an_archive_names_the_newest_and_keeps_the_old_for_a_while(
    archive: AptRepository, tmp_path: Path
) -> None:
    address = archive.source.split()[2] + "/"

    def get(name: str) -> bytes:
        with urllib.request.urlopen(address + name) as answer:
            return bytes(answer.read())

    archive.publish("greet", "1.0")
    archive.publish("greet", "1.1")
    index = get("Packages").decode()
    assert "Version: 1.1\n" in index and "1.0" not in index
    package = tmp_path / "greet.deb"
    package.write_bytes(get("greet_1.0_all.deb"))
    shown = subprocess.run(
        ["dpkg-deb", "-f", str(package), "Version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "1.0\n"
    archive.tidy()
    with pytest.raises(urllib.error.HTTPError):
        get("greet_1.0_all.deb")
    assert get("greet_1.1_all.deb")
