"""Pages for everybody: axe-core finds no fault, in both themes; the keyboard reaches every link.

`make test-pages` fetches axe-core and builds the web edition; without them these tests are left
out.  JupyterLab's own parts (its editors, its buttons beside headings) are not the course's.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.course.handout import work_folder
from tests.lab import Lab
from tests.notebooks.browser import Browser, browser, is_installed
from tests.notebooks.jupyter import NotebookPage, clean_environment, jupyterlab
from tests.notebooks.notebooks import FOLDER, PROJECT, code_cells, read

AXE = Path(os.environ.get("LABKIT_TEST_AXE", ""))
"""axe-core's `axe.min.js`."""
SITE = PROJECT / ".lab" / "site"
SEARCH = "search.html?q=whiteout"
PAGES = ("index.html", "03_image_layers.html", "09_limits.html", "glossary.html")
THEMES = ("light", "dark")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OWN = {
    "include": [[".jp-OutputArea-output"], [".jp-RenderedMarkdown"]],
    "exclude": [[".jp-collapseHeadingButton"]],
}
"""What JupyterLab shows of a page."""

DEMO = next(code_cells(read(FOLDER / "demos/11_namespaces.ipynb"))).id

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_installed(), reason="needs Chromium: chromium and chromium-driver"),
    pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: make test-pages"),
]


def faults(page: Browser, context: Any = None) -> list[str]:
    """What axe-core finds: rule, place and words of each fault."""
    page.run(f"{AXE.read_text(encoding='utf-8')};window.axe = axe")
    found = page.run(
        """const options = {runOnly: arguments[1]};
        const result = await axe.run(arguments[0] ?? document, options);
        return result.violations.flatMap(rule => rule.nodes.map(
          node => `${rule.id}: ${node.target} ${node.failureSummary}`))""",
        context,
        RULES,
    )
    return list(found)


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Browser]:
    """A browser alone."""
    with browser(tmp_path, clean_environment(dict(os.environ), tmp_path)) as page:
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_web_edition(window: Browser, name: str) -> None:
    for theme in THEMES:
        window.open(f"file://{SITE}/{name}")
        window.run(
            """document.body.dataset.theme = arguments[0];
            document.querySelectorAll("details").forEach(fold => fold.open = true)""",
            theme,
        )
        time.sleep(0.5)
        assert faults(window) == [], theme


def test_the_web_edition_needs_no_network(window: Browser) -> None:
    for name in (*PAGES, SEARCH):
        window.open(f"file://{SITE}/{name}")
        asked = window.run("return performance.getEntriesByType('resource').map(one => one.name)")
        assert [one for one in asked if not one.startswith(("file:", "data:"))] == []


def test_the_search_finds_without_a_server(window: Browser) -> None:
    window.open(f"file://{SITE}/{SEARCH}")
    window.wait("return document.querySelector('#search-results li a')?.textContent")


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a JupyterLab over a learner's folder."""
    root = tmp_path / "course"
    work_folder.update(str(root))
    shutil.copy(FOLDER / "03_image_layers.ipynb", root)  # as it is committed: with its outputs
    environment = clean_environment(lab.env, tmp_path)
    with (
        jupyterlab(root, tmp_path, environment) as address,
        browser(tmp_path, environment) as page,
    ):
        yield page, address


def choose(page: Browser, theme: str) -> None:
    page.run(
        "return window.jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})",
        f"JupyterLab {theme.capitalize()}",
    )
    time.sleep(1)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("start.ipynb", ["page"]),
        ("00_start_here.ipynb", ["load", "predict-version", "doctor", "beside-version"]),
        ("03_image_layers.ipynb", []),
        ("demos/11_namespaces.ipynb", [DEMO]),
    ],
)
def test_a_page_in_jupyterlab(desk: tuple[Browser, str], name: str, cells: list[str]) -> None:
    page, address = desk
    notebook = NotebookPage(page, address, name)
    for cell in cells:
        notebook.run_cell(cell)
    time.sleep(1)
    for theme in THEMES:
        choose(page, theme)
        assert faults(page, OWN) == [], theme
    notebook.close()


def test_the_keyboard_reaches_every_link_of_the_start_page_in_order(
    desk: tuple[Browser, str],
) -> None:
    page, address = desk
    notebook = NotebookPage(page, address, "start.ipynb")
    notebook.run_cell("page")
    page.run("document.querySelector('.labkit-start a').focus()")
    words = "return document.activeElement.textContent"
    links = page.run(
        "return [...document.querySelectorAll('.labkit-start a, .labkit-start summary')]"
        ".filter(one => one.checkVisibility()).map(one => one.textContent)"
    )
    reached = []
    for _ in links:
        reached.append(page.run(words))
        page.press("\ue004")
    assert reached == links
    notebook.close()
