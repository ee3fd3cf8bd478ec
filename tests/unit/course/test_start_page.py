"""The start page: the file of the progress, the hook, the points of the notes, the page itself."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.course.exercises import record
from labkit.course.handout import work_folder
from labkit.course.start import chapters, hook, progress, state
from labkit.course.start.handed_out import bring_up_to_date
from labkit.course.start.page import Page
from labkit.course.start.points import POINTS
from labkit.course.start.progress import LaterVersionError, Progress, Recorder

NOTEBOOKS = Path(work_folder.source())


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's learner has the progress."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return Path(progress.path())


def test_what_has_run_is_kept_once_and_the_last_one_known(kept: Path) -> None:
    recorder = Recorder()
    for cell in ("two-run", "host-top", "two-run"):
        assert recorder.note("09", cell)
    assert progress.load() == Progress(
        cells={"09": ["two-run", "host-top"]}, last=("09", "two-run")
    )
    assert sorted(each.name for each in kept.parent.iterdir()) == [
        "progress.json",
        "progress.json.lock",
    ]


def test_two_kernels_at_once_lose_nothing() -> None:
    program = (
        "import sys\nfrom labkit.course.start.progress import Recorder\nown = Recorder()\n"
        "for number in range(60): own.note(sys.argv[1], str(number))\n"
        "assert own.note(sys.argv[1], 'last')"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("09", "10")]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    assert {name: len(cells) for name, cells in progress.load().cells.items()} == {
        "09": 61,
        "10": 61,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"version": 1, "cells": {"09"',
        b"[]",
        b"\xff\xfe",
        b'{"version":1,"cells":[1]}',
        b"{}",
    ],
)
def test_a_damaged_file_is_set_aside(kept: Path, data: bytes) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_bytes(data)
    assert progress.load() == Progress()
    assert Recorder().note("09", "two-run")
    assert progress.load().cells == {"09": ["two-run"]}
    assert Path(f"{kept}.damaged").read_bytes() == data


def test_the_file_of_a_later_version_is_left_alone_and_named(kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    later = '{"version": 2, "cells": "of another form"}'
    kept.write_text(later)
    with pytest.raises(LaterVersionError):
        progress.load()
    assert not Recorder().note("09", "two-run")
    assert kept.read_text() == later
    assert "later labkit" in Page(state.read())._repr_html_()


def test_a_folder_that_cannot_be_written_disturbs_nothing_and_nothing_is_lost(kept: Path) -> None:
    kept.parent.parent.mkdir(parents=True)
    kept.parent.write_text("a file where the folder belongs")  # root may write a read-only folder
    recorder = Recorder()
    assert not recorder.note("09", "two-run")
    assert progress.load() == Progress()
    kept.parent.unlink()
    assert recorder.note("09", "host-top")
    assert progress.load().cells == {"09": ["two-run", "host-top"]}


def test_a_lock_that_is_held_does_not_hold_the_cell(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOCK_TIMEOUT_S", 0.1)
    recorder = Recorder()
    kept.parent.mkdir(parents=True)
    with progress._locked():
        assert not recorder.note("09", "two-run")
    assert recorder.note("09", "two-run")


@pytest.mark.parametrize(
    ("page", "cell_id", "source", "found"),
    [
        ("/home/learner/labkit-course/09_limits.ipynb", "two-run", "changed", ("09", "two-run")),
        ("09_limits (yours 2).ipynb", "two-run", "", ("09", "two-run")),
        ("/x/09_limits.ipynb", "0a1b2c3d", "a cell of the learner's", None),
        ("/x/exercises/09_limits.ipynb", "two-run", "", None),
        ("/x/demos/09_cpu_shares.ipynb", "panel", "", None),
        ("/x/start.ipynb", "page", "", None),
        ("/x/99_mine.ipynb", "two-run", "", None),
        ("", "two-run", "", None),
    ],
)
def test_a_cell_is_known_by_its_page_and_id(
    page: str, cell_id: str, source: str, found: tuple[str, str] | None
) -> None:
    assert hook.cell_of(page, cell_id, source) == found


def test_a_cell_is_known_by_its_source_where_the_editor_names_it_otherwise() -> None:
    chapter = chapters.find("09")
    assert chapter
    cell = chapter.cell("two-run")
    assert cell
    foreign = "vscode-notebook-cell:/x/09_limits.ipynb#W4sZmlsZQ%3D%3D"
    assert hook.cell_of("/x/09_limits.ipynb", foreign, f"{cell.source}\n") == ("09", "two-run")


def test_a_kernel_notes_what_has_run_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415
    from traitlets.config import Config  # noqa: PLC0415

    monkeypatch.setenv("JPY_SESSION_NAME", "/x/09_limits.ipynb")
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("%load_ext labkit.course", cell_id="load")
    shell.run_cell("%reload_ext labkit.course", cell_id="two")
    shell.run_cell("1/0", cell_id="host-top")
    shell.run_cell("1", cell_id="two-run", silent=True)
    shell.run_cell("1", cell_id="memory-run")
    assert progress.load().cells == {"09": ["load", "memory-run"]}
    assert len(shell.events.callbacks["post_run_cell"]) == 1


def test_every_point_names_a_cell_under_the_heading_that_the_table_of_the_notes_names() -> None:
    readme = (NOTEBOOKS / "README.md").read_text()
    table: dict[str, set[tuple[str, str]]] = {}
    for name, places in re.findall(r"^\| (N\d+) .+? \| (.+) \|$", readme, re.MULTILINE):
        for chapter, words in re.findall(r"\[(\d\d)\]\([^)]+\)((?:(?!\[\d\d\]).)*)", places):
            headings = re.findall(r"\*([^*]+)\*", words)
            table.setdefault(name, set()).update((chapter, heading) for heading in headings)
    assert [point.name for point in POINTS] == [f"N{number}" for number in range(1, 30)]
    for point in POINTS:
        found = set()
        for number, name in point.cells:
            chapter = chapters.find(number)
            cell = chapter and chapter.cell(name)
            assert cell, (point.name, number, name)
            found.add((number, cell.section))
        if point.name == "N26":  # "and the eight sections after it"
            assert len(found) == 9
        assert table[point.name] <= found, point.name


def lit(shown: state.State) -> list[str]:
    return [light.name for light in shown.lights if light.ran]


def test_a_new_learner_begins_with_chapter_0() -> None:
    shown = state.read()
    assert shown.is_new
    assert shown.go_on and shown.go_on.target == "00_start_here.ipynb#cell-id=load"
    assert lit(shown) == []
    assert [card.ran for card in shown.cards] == [0] * 14
    assert all(card.cells and card.chapter.minutes for card in shown.cards)


def test_a_chapter_that_has_run_fills_its_bar_and_lights_its_sentences() -> None:
    recorder = Recorder()
    chapter = chapters.find("12")
    assert chapter
    for cell in chapter.cells:
        recorder.note("12", cell.name)
    shown = state.read()
    assert lit(shown) == ["N27", "N28", "N29"]
    assert shown.go_on and shown.go_on.target.startswith("13_mini.ipynb#cell-id=")
    html = Page(shown)._repr_html_()
    assert f"✓ all {len(chapter.cells)} cells" in html
    assert "You have seen 3 of 29" in html


def test_one_of_several_cells_lights_a_sentence_in_part() -> None:
    Recorder().note("00", "kernel-run")
    first = state.read().lights[0]
    assert (first.name, first.ran, first.cells) == ("N1", 1, 3)
    assert first.target == "01_vm_and_container.ipynb#cell-id=race-run"
    assert "(seen 1 of 3)" in Page(state.read())._repr_html_()


def test_points_of_exercises_are_on_the_card() -> None:
    record.count_try("09.2", 7)
    (card,) = (card for card in state.read().cards if card.chapter.number == "09")
    assert card.exercises
    assert re.fullmatch(r"Exercises: 7 of \d+ points", card.exercises.words)


def test_every_link_of_the_page_leads_somewhere() -> None:
    html = Page(state.read())._repr_html_()
    for link in re.findall(r'href="([^"]+)"', html):
        file, _, cell = link.partition("#cell-id=")
        page = json.loads((NOTEBOOKS / file).read_text())
        assert not cell or cell in {each["id"] for each in page["cells"]}


def test_a_learners_start_page_shows_the_progress_and_stays_the_released_one(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "course"
    work_folder.update(str(folder))
    Recorder().note("12", "modes-none")
    bring_up_to_date(str(folder))
    text = (folder / "start.ipynb").read_text()
    assert "You have seen 1 of 29" in text
    assert work_folder.update(str(folder)) == []
    before = (folder / "start.ipynb").stat().st_mtime_ns
    bring_up_to_date(str(folder))
    assert (folder / "start.ipynb").stat().st_mtime_ns == before, "it shows that already"
    page = json.loads(text)
    page["cells"][0]["source"] = "# My own"
    (folder / "start.ipynb").write_text(json.dumps(page))
    bring_up_to_date(str(folder))
    assert json.loads((folder / "start.ipynb").read_text()) == page


def test_the_state_of_a_learner_is_the_learners_alone(kept: Path) -> None:
    Recorder().note("09", "two-run")
    assert stat.S_IMODE(os.stat(kept.parent).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600


def test_a_result_without_a_cell_is_no_cell() -> None:
    watcher = hook.Watcher(SimpleNamespace(user_ns={}))
    result: Any = SimpleNamespace(success=True, info=None)
    watcher.ran(result)
    assert progress.load() == Progress()
