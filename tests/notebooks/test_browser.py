"""The pages in a real browser: JupyterLab starts, a chapter runs to its end, the widgets move."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.course.limits.cpu_files import CpuFiles
from tests.lab import Lab
from tests.notebooks.browser import Browser, browser, is_installed, wait_for
from tests.notebooks.jupyter import NotebookPage, clean_environment, jupyterlab
from tests.notebooks.notebooks import FOLDER, code_cells, read

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_installed(), reason="needs Chromium: chromium and chromium-driver"),
]

CHAPTER_TIMEOUT_S = 240
PANEL = ".labkit-shares-panel"
NAME_OF_FIRST = f"return document.querySelector('{PANEL} svg text[font-weight]')?.textContent"


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a JupyterLab over a copy of the notebooks."""
    root = tmp_path / "notebooks"
    shutil.copytree(FOLDER, root)
    environment = clean_environment(lab.env, tmp_path)
    with (
        jupyterlab(root, tmp_path, environment) as address,
        browser(tmp_path, environment) as page,
    ):
        yield page, address


def running(lab: Lab) -> list[Any]:
    _, containers = lab.api("GET", "/containers/json")
    assert isinstance(containers, list)
    return containers


def weight_of(lab: Lab, container_id: str) -> int:
    _, container = lab.api("GET", f"/containers/{container_id}/json")
    assert isinstance(container, dict)
    return CpuFiles.of_process(container["State"]["Pid"]).read_weight()


def part_of_first(page: Browser) -> int:
    """What the chart says of the first container, in percent."""
    name = page.run(NAME_OF_FIRST) or "container 1: 0%"
    return int(name.rpartition(" ")[2].removesuffix("%"))


def test_a_chapter_runs_to_its_end_and_a_slider_moves_a_running_container(
    lab: Lab, desk: tuple[Browser, str], tmp_path: Path
) -> None:
    """Chapter 10 whole; of chapter 9, whose experiments take a minute, a figure and the panel."""
    page, address = desk
    notebook = NotebookPage(page, address, "10_cgroups.ipynb")
    notebook.run_all(CHAPTER_TIMEOUT_S)
    in_order = [cell.id for cell in code_cells(read(FOLDER / "10_cgroups.ipynb"))]
    counts = notebook.execution_counts()
    assert [counts[name] for name in in_order] == list(range(1, len(in_order) + 1))
    notebook.close()
    wait_for(lambda: not running(lab), "the chapter leaves no container", 20)

    notebook = NotebookPage(page, address, "09_limits.ipynb")
    for cell in ("load", "predict-part", "two-run"):
        notebook.run_cell(cell)
    notebook.show("two-run")
    page.wait("return [...document.querySelectorAll('figure img')].some(i => i.naturalWidth > 500)")
    page.screenshot(tmp_path / "figure.png")

    notebook.run_cell("panel")
    notebook.show("panel")
    page.wait(f"return document.querySelectorAll('{PANEL} polyline.measured').length === 2")
    first, second = sorted(running(lab), key=lambda one: -weight_of(lab, one["Id"]))
    before = weight_of(lab, first["Id"])
    wait_for(lambda: 55 <= part_of_first(page) <= 75, "two thirds for the first", 30)
    page.drag(f"{PANEL} .noUi-handle", 200)
    wait_for(lambda: weight_of(lab, first["Id"]) == 2 * before, "the weight is written", 10)
    assert weight_of(lab, second["Id"]) == before / 2
    wait_for(lambda: part_of_first(page) >= 76, "four fifths for the first", 30)
    page.screenshot(tmp_path / "panel.png")

    notebook.close()
    wait_for(lambda: not running(lab), "the kernel's end takes the containers along", 20)


def test_a_prediction_is_kept_and_stands_beside_what_happened(desk: tuple[Browser, str]) -> None:
    page, address = desk
    notebook = NotebookPage(page, address, "00_start_here.ipynb")
    notebook.run_cell("load")
    notebook.run_cell("predict-kernel")
    notebook.show("predict-kernel")
    page.wait("return document.querySelectorAll('.widget-radio-box input').length === 3")
    page.run(
        "[...document.querySelectorAll('.widget-radio-box label')]"
        ".find(one => one.textContent.includes('the same as on the host'))"
        ".querySelector('input').click()"
    )
    page.wait("return document.body.textContent.includes('Kept. Now run the next cell.')")
    notebook.run_cell("beside-kernel")
    page.wait("return document.body.textContent.includes('You saw it coming.')")

    # The start page has counted it, leads to the next cell, and follows what runs there.
    NotebookPage(page, address, "start.ipynb").run_cell("page")
    count = "return document.querySelector('.labkit-start')?.textContent.includes(arguments[0])"
    page.wait(count, "3 of 18 cells")
    page.run("document.querySelector('.labkit-start a').click()")
    page.wait(
        """const panel = window.jupyterapp.shell.currentWidget;
        return panel.title.label === '00_start_here.ipynb'
          && panel.content?.activeCell?.model.id === 'hood-waterfall'
          && panel.sessionContext.session?.kernel?.status === 'idle'"""
    )
    notebook.run_cell("kernel-files-count")
    page.wait(count, "4 of 18 cells")
    notebook.close()


def test_a_page_opens_without_results_and_without_errors(desk: tuple[Browser, str]) -> None:
    """Somebody else's results are folded; no widget is missed."""
    page, address = desk
    notebook = NotebookPage(page, address, "09_limits.ipynb")
    notebook.show("two-run")
    assert page.run("return document.querySelectorAll('figure img').length") == 0
    assert "Error displaying widget" not in page.run("return document.body.textContent")
    notebook.close()
