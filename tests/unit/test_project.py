"""The project as a whole: what its files may say, how long they are, and that the lock is sound."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LONGEST_FILE_LINES = 500

# Assembled, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(
        r"/wor[k]/|/far[m]/|\.\./share[d]|/hom[e]/(?!vagrant|learner)"
    ),
    "the host name of a package registry": re.compile(
        r"pypi\.o[r]g|pythonhosted\.o[r]g|registry\.npmjs\.o[r]g|deb\.debian\.o[r]g"
        r"|archive\.ubuntu\.co[m]|registry-1\.docker\.i[o]"
    ),
}


def tracked(*patterns: str) -> list[Path]:
    """The files under version control that match the patterns."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [PROJECT / name for name in names.split("\0") if name and (PROJECT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:80]}")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_files_are_short_enough_to_read() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in tracked("*.py", "*.sh")}
    assert lengths
    long = {
        str(path.relative_to(PROJECT)): n for path, n in lengths.items() if n > LONGEST_FILE_LINES
    }
    assert not long


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(PROJECT))
        for path in tracked("labkit/*.py", "tests/*.py", "bench/*.py")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def locked() -> dict[str, set[str]]:
    """The versions that requirements.lock pins, by normalised name."""
    pins: dict[str, set[str]] = {}
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([a-z0-9-]+)==([^ ;]+)", line):
            pins.setdefault(match[1], set()).add(match[2])
    return pins


def test_the_lock_holds_all_that_the_project_asks_for() -> None:
    """Except Dask, which an instructor with several machines adds."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *(
            requirement
            for extra, requirements in project["project"]["optional-dependencies"].items()
            for requirement in requirements
            if extra != "cluster"
        ),
        *(r for group in project["dependency-groups"].values() for r in group),
    ]
    names = {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in asked}
    assert names <= locked().keys()


def test_every_pin_of_the_lock_has_hashes() -> None:
    text = (PROJECT / "requirements.lock").read_text()
    pins = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.M)[1:]
    assert len(pins) > 50
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_engine_installs_without_jupyter() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    engine = " ".join(project["project"]["dependencies"])
    assert not re.search(r"jupyter|ipy|matplotlib|nb", engine)
