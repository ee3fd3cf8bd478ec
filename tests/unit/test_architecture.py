"""ARCHITECTURE.md says the truth: its files, its floors, its sizes, its way of reading."""

import re
from pathlib import Path

import pytest

from tests.unit.test_floors import MAY_IMPORT

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "ARCHITECTURE.md").read_text()
MOST_LINES_TO_READ = 3000


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_that_is_named_is_there(name: str) -> None:
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.(?:py|sh|md))`", (PROJECT / name).read_text()))
    places = (PROJECT, PROJECT / "labkit", PROJECT / "tests", PROJECT / "tests/integration")
    missing = {each for each in named if not any((place / each).exists() for place in places)}
    assert not missing


def test_the_files_beside_the_notes_are_there() -> None:
    """In each row, the first path is whole, and a bare file is that one's neighbour."""
    rows = [
        line.split("|")[3]
        for line in (PROJECT / "notebooks/README.md").read_text().splitlines()
        if re.match(r"\| N\d+ ", line)
    ]
    assert len(rows) >= 29
    missing = []
    for row in rows:
        folder = PROJECT / "labkit"
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
            path = PROJECT / "labkit" / name if "/" in name else folder / name
            folder = path.parent
            missing += [] if path.exists() else [name]
    assert not missing


def test_the_way_of_run_can_be_read_in_an_evening() -> None:
    way = re.findall(r"^\d+\. \[(.+)\]\((.+)\)", TEXT, re.MULTILINE)
    assert len(way) == 15
    assert all(link == f"labkit/{path}" for path, link in way)
    assert sum(lines_of(PROJECT / link) for _, link in way) <= MOST_LINES_TO_READ


def test_the_sizes_are_right() -> None:
    """Each to a tenth, or to 200 lines: the table need not change with every commit."""
    wrong = []
    for words, said in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([\d,]+) \|", TEXT, re.MULTILINE):
        packages = re.findall(r"`(\w+)`", words)
        files = [path for each in packages for path in (PROJECT / "labkit" / each).rglob("*.py")]
        count, told = sum(map(lines_of, files)), int(said.replace(",", ""))
        if abs(count - told) > max(told // 10, 200):
            wrong.append(f"{words}: {count} lines, not {said}")
    assert not wrong


def floors() -> dict[str, int]:
    """The floor of each package in the table; those beside the tower have none."""
    rows = re.findall(r"^\| (\d) \| ((?:`\w+`(?:, )?)+) \|", TEXT, re.MULTILINE)
    return {name: int(floor) for floor, words in rows for name in re.findall(r"`(\w+)`", words)}


def test_the_floors_are_those_that_the_test_holds() -> None:
    table = floors()
    assert set(table) | set(re.findall(r"`(\w+)`", TEXT)) >= set(MAY_IMPORT) - {"__init__"}
    upward = {
        f"{package} imports {lower}"
        for package, floor in table.items()
        for lower in MAY_IMPORT[package] & set(table)
        if table[lower] > floor
    }
    assert not upward
