"""The learner's folder: in whose home it is, whose its files are, and that JupyterLab shows it."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.course.handout import release
from tests import leaks
from tests.lab import PROJECT
from tests.notebooks.browser import free_port

pytestmark = pytest.mark.root
UID, GID = 64_123, 64_124
"""Ids of no user of the machine."""


class Person:
    """A person who may call sudo, with a home, on a machine of the test's own mounts."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.home, self.passwd = folder / "her home", folder / "passwd"
        self.home.mkdir()
        os.chown(self.home, UID, GID)
        line = f"lea:x:{UID}:{GID}::{self.home}:/bin/sh\n"
        self.passwd.write_text(Path("/etc/passwd").read_text() + line)
        self.folder = self.home / "labkit-course"
        self.project = PROJECT
        names = {"SUDO_UID", "SUDO_USER", "LAB_FOLDER", "MAKEFLAGS", "MAKELEVEL"}
        self.env = {name: value for name, value in os.environ.items() if name not in names}
        self.sudo = {"SUDO_UID": str(UID), "SUDO_USER": "lea", "HOME": "/root"}

    def run(self, *command: str, env: dict[str, str]) -> str:
        """Run a command; what it prints.  It must succeed."""
        script = f'mount --bind {self.passwd} /etc/passwd; exec "$@"'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-ec", script, "sh", *command],
            env=self.env | {"PYTHONPATH": str(self.project), "PYTHONDONTWRITEBYTECODE": "1"} | env,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def course(self, *words: str, env: dict[str, str]) -> list[str]:
        command = (sys.executable, "-P", "-m", "labkit.cli", "course", *words)
        return self.run(*command, env=env).splitlines()

    def owners(self) -> set[int]:
        return {path.lstat().st_uid for path in (self.folder, *self.folder.rglob("*"))}


@pytest.fixture
def person() -> Iterator[Person]:
    """In a folder of this run: other users cannot come through pytest's own."""
    folder = leaks.new_folder("person-")
    yield Person(Path(folder))
    shutil.rmtree(folder)


def change(page: Path, text: str) -> None:
    notebook = release.read(str(page))
    notebook["cells"][0]["source"] = text
    release.write(str(page), notebook)


def test_sudo_makes_the_folder_of_the_person_who_called(person: Person) -> None:
    *said, folder = person.course(env=person.sudo)
    assert folder == str(person.folder)
    assert len(said) > 20
    assert person.owners() == {UID}
    assert (person.folder / "09_limits.ipynb").stat().st_gid == GID
    # A second time, after root's JupyterLab has made files there, and links lead elsewhere.
    secret = person.home.parent / "root's own"
    secret.touch(mode=0o600)
    (person.folder / "Untitled.ipynb").touch()
    os.link(secret, person.folder / "second name")
    (person.folder / "a link").symlink_to(secret)
    assert person.course(env=person.sudo) == [folder]
    assert (person.folder / "Untitled.ipynb").stat().st_uid == UID
    assert secret.stat().st_uid == 0, "a link or a second name must not give away a file of root"


def test_root_alone_has_the_folder_in_its_own_home(person: Person) -> None:
    os.chown(person.home, 0, 0)
    *_, folder = person.course(env={"HOME": str(person.home)})
    assert folder == str(person.folder)
    assert person.owners() == {0}


def test_a_folder_that_is_not_a_learners_is_not_given_away(person: Person) -> None:
    system = person.home.parent / "system"
    system.mkdir()
    (system / "a file").touch()
    with pytest.raises(AssertionError, match="lea may not write in"):
        person.course("--folder", str(system), env=person.sudo)
    assert {path.stat().st_uid for path in (system, system / "a file")} == {0}
    # Root may make one where the person could not.
    person.course("--folder", str(system / "new"), env=person.sudo)
    assert (system / "new/09_limits.ipynb").stat().st_uid == UID
    assert system.stat().st_uid == 0


def test_a_folder_that_the_person_cannot_reach_is_refused_in_words(person: Person) -> None:
    """Root makes the folder each time: the second time it exists."""
    closed = person.home.parent / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        with pytest.raises(AssertionError, match="lea may not write in"):
            person.course("--folder", str(closed / "new"), env=person.sudo)
    (closed / "file").touch()
    with pytest.raises(AssertionError, match="cannot be a learner's folder: File exists"):
        person.course("--folder", str(closed / "file"), env=person.sudo)


def test_a_link_in_the_folder_leads_root_nowhere(person: Person) -> None:
    """A page is written with the person's rights alone."""
    person.course(env=person.sudo)
    outside = person.home.parent / "outside"
    outside.mkdir()
    shutil.rmtree(person.folder / "exercises")
    (person.folder / "exercises").symlink_to(outside)
    with pytest.raises(AssertionError):
        person.course(env=person.sudo)
    assert os.listdir(outside) == []


def test_a_moved_project_finds_the_same_folder(person: Person) -> None:
    first, second = (person.home.parent / name for name in ("a clone", "moved"))
    for name in ("labkit", "notebooks"):
        shutil.copytree(PROJECT / name, first / name, ignore=shutil.ignore_patterns("__pycache__"))
    person.project = first
    person.course(env=person.sudo)
    change(person.folder / "09_limits.ipynb", "mine")
    change(first / "notebooks/09_limits.ipynb", "a new release")
    first.rename(second)
    person.project = second
    said = person.course(env=person.sudo)
    assert said[:-1] == ["09_limits.ipynb: a new release; your page is now 09_limits (yours).ipynb"]
    assert release.read(str(person.folder / "09_limits (yours).ipynb"))["cells"][0]["source"] == (
        "mine"
    )
    assert person.owners() == {UID}


@pytest.fixture
def scripts(person: Person) -> Iterator[dict[str, str]]:
    """The environment of the lab's scripts, with a scratch state and this run's packages."""
    state = person.home.parent
    env = person.sudo | {
        "LABKIT_VENV": sys.prefix,
        "LABKIT_STATE": f"{state}/state",
        "LABKIT_ROOT": f"{state}/root",
        "LABKIT_RUN": f"{state}/run",
        "LAB_PORT": str(free_port()),
        "LAB_OPEN": "0",
    }
    yield env
    person.run("bash", f"{PROJECT}/vagrant/lab.sh", "stop", env=env)


def test_the_lab_shows_the_folder_and_never_the_project(
    person: Person, scripts: dict[str, str]
) -> None:
    def script(verb: str, **more: str) -> str:
        return person.run("bash", f"{PROJECT}/vagrant/lab.sh", verb, env=scripts | more)

    said = script("start-jupyter")
    assert f"labkit: your pages are in {person.folder}\n" in said
    link = said.splitlines()[-1].partition("the lab is open: ")[2]
    address, _, token = link.partition("/lab/tree/")
    page, _, token = token.partition("?")
    assert (person.folder / page).exists(), link
    with urllib.request.urlopen(f"{address}/api/contents?{token}", timeout=20) as answer:
        shown = {each["name"] for each in json.load(answer)["content"]}
    assert {"09_limits.ipynb", "exercises", "demos"} <= shown
    assert "README.md" not in shown
    change(person.folder / "09_limits.ipynb", "mine")
    (person.folder / "new.txt").touch()

    again = script("start-jupyter")
    assert "JupyterLab runs already" in again
    assert link in again
    assert "make stop" in script("start-jupyter", LAB_FOLDER=f"{person.home}/other")
    assert release.read(str(person.folder / "09_limits.ipynb"))["cells"][0]["source"] == "mine"
    (person.folder / "made by root").touch()
    script("stop")
    assert person.owners() == {UID}
