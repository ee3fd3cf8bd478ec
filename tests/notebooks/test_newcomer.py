"""A newcomer's way in a real browser: a folder of their own, an exercise wrong, right, handed in.

With LABKIT_PICTURES=FOLDER it leaves its pictures there, as in notebooks/pictures.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.course.exercises import card
from labkit.course.handout import release, work_folder
from tests.exercises.classroom import IDLE, MEMORY
from tests.lab import Lab
from tests.notebooks.browser import Browser, browser, is_installed
from tests.notebooks.jupyter import NotebookPage, clean_environment, jupyterlab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_installed(), reason="needs Chromium: chromium and chromium-driver"),
]
CARD = "[...document.querySelectorAll('.labkit-check [role=status]')].pop()"
"""The card that was shown last."""
COLOUR = f"return getComputedStyle({CARD}).borderLeftColor"
TEXT = f"return {CARD}?.textContent"
AGAIN = ".labkit-check button"


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Iterator[tuple[Browser, str, Path]]:
    """A browser, the address of a JupyterLab over a learner's folder, and that folder."""
    folder = tmp_path / "labkit-course"
    work_folder.update(str(folder))
    environment = clean_environment(lab.env, tmp_path)
    with (
        jupyterlab(folder, tmp_path, environment) as address,
        browser(tmp_path, environment) as page,
    ):
        yield page, address, folder


class Learner:
    """Writes answers, and reads cards."""

    def __init__(self, page: Browser, notebook: NotebookPage, pictures: Path) -> None:
        self.page, self.notebook, self.pictures = page, notebook, pictures

    def answers(self, number: str, source: str) -> None:
        """Begin an exercise, and answer it."""
        name = number.replace(".", "-")
        self.notebook.run_cell(f"task-{name}")
        self.page.run(
            """const cell = window.jupyterapp.shell.currentWidget.content.widgets
            .find(cell => cell.model.id === arguments[0]);
            cell.model.sharedModel.setSource(arguments[1]);""",
            f"answer-{name}",
            source,
        )
        self.notebook.run_cell(f"answer-{name}")

    def checks(self, number: str, expected: str) -> None:
        self.notebook.run_cell(f"check-{number.replace('.', '-')}")
        self.page.wait(f"{TEXT}?.includes(arguments[0])", expected)

    def presses(self, expected: str) -> None:
        """Press the card's button, and wait for what it then says."""
        self.page.click(AGAIN)
        self.page.wait(f"{TEXT}.includes(arguments[0])", expected)

    def card(self, picture: str) -> tuple[str, str]:
        """The card's colour and what it says; with a picture of the page."""
        self.page.screenshot(self.pictures / f"{picture}.png")
        return hexadecimal(self.page.run(COLOUR)), str(self.page.run(TEXT))


def hexadecimal(colour: str) -> str:
    """`rgb(42, 146, 135)` as `#2A9287`."""
    return "#" + "".join(f"{int(part):02X}" for part in colour[4:-1].split(","))


def test_a_newcomer_gets_a_hint_then_points_and_hands_it_in(
    lab: Lab, desk: tuple[Browser, str, Path], tmp_path: Path
) -> None:
    page, address, folder = desk
    pictures = Path(os.environ.get("LABKIT_PICTURES", tmp_path))
    chapter = NotebookPage(page, address, "09_limits.ipynb")
    assert set(chapter.execution_counts().values()) == {None}
    page.screenshot(pictures / "chapter.png")
    chapter.close()

    notebook = NotebookPage(page, address, "exercises/09_limits.ipynb")
    learner = Learner(page, notebook, pictures)
    notebook.run_cell("load")
    learner.answers("09.5", IDLE)
    notebook.show("task-09-5")
    learner.checks("09.5", "not yet")
    colour, said = learner.card("amber")
    assert colour == card.AMBER
    assert "Its memory limit" in said
    assert "try 1" in said
    learner.presses("try 2")
    assert "The kernel ends a container" in learner.card("amber-again")[1]

    learner.answers("09.5", MEMORY)
    learner.presses("public checks passed")
    colour, said = learner.card("green")
    assert (colour, "6 of 6 points" in said) == (card.GREEN, True)

    # Without a lab disk this machine cannot judge: that costs no points.
    notebook.run_cell("task-09-6")
    learner.checks("09.6", "cannot judge now")
    notebook.show("check-09-6")
    colour, said = learner.card("red")
    assert (colour, "costs no points" in said) == (card.RED, True)

    page.run("await window.jupyterapp.commands.execute('docmanager:save')")
    submitted = hand_in(lab, folder, tmp_path)
    sources = {cell["id"]: "".join(cell["source"]) for cell in submitted["cells"]}
    assert sources["answer-09-5"] == MEMORY
    assert submitted["metadata"]["labkit"]["learner"]
    notebook.run_cell("clean-up")
    notebook.close()


def hand_in(lab: Lab, folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Hand in as in a terminal of JupyterLab; the notebook that arrives."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "exercises", "submit", "09", "--student", "ann"],
        cwd=folder,
        env=clean_environment(lab.env, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "submitted/ann/09_limits/09_limits.ipynb\n"
    return release.read(str(folder / done.stdout.strip()))
