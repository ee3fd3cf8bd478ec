"""The demos in a real browser: what a presenter sees, and what is left when the page is closed.

One demo is driven in every run.  `make test-demos` drives all of them, at both sizes, in JupyterLab
and as pages, and keeps the screenshots in the folder that LABKIT_TEST_DEMOS names.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit.course.demos import demo_class
from labkit.course.demos.controls import Slide
from tests.lab import Lab, running_lab
from tests.notebooks.browser import Browser, browser, is_installed, wait_for
from tests.notebooks.jupyter import NotebookPage, clean_environment, jupyterlab
from tests.notebooks.notebooks import DEMOS, FOLDER

SHOTS = os.environ.get("LABKIT_TEST_DEMOS", "")
SIZES = ((1280, 720), (1920, 1080))
LIMIT_S = 15
"""How long after the last page's close something of it may be left."""
DEMO = ".labkit-demo"
IS_SHOWN = f"return !!document.querySelector('{DEMO}:popover-open svg')"
IS_IDLE = f"return document.querySelector('{DEMO}-note').textContent.trim() !== '…'"
FAULTS = """
const demo = document.querySelector('.labkit-demo:popover-open'), faults = [];
const box = (one) => one.getBoundingClientRect();
const at = box(demo);
if (at.x || at.y || at.width !== innerWidth || at.height !== innerHeight) faults.push('its size');
for (const one of demo.querySelectorAll(
    '.labkit-demo-top, .labkit-demo-controls, .labkit-demo-picture, .labkit-demo-words'))
  if (one.scrollHeight > one.clientHeight + 2 || one.scrollWidth > one.clientWidth + 2)
    faults.push('too much in ' + one.className);
for (const one of demo.querySelectorAll('button, .widget-html-content'))
  if (parseFloat(getComputedStyle(one).fontSize) < 20) faults.push('small: ' + one.textContent);
const picture = box(demo.querySelector('svg'));
const scale = Math.min(picture.width / 900, picture.height / 520);
const texts = [...demo.querySelectorAll('svg text')].filter((one) => one.textContent);
texts.forEach((one, number) => {
  const a = box(one);
  if (parseFloat(one.getAttribute('font-size')) * scale < 20) faults.push('small: ' + one.textContent);
  if (a.left < picture.left - 2 || a.right > picture.right + 2 || a.bottom > picture.bottom + 2)
    faults.push('cut off: ' + one.textContent);
  for (const other of texts.slice(number + 1)) {
    const b = box(other);
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 3 && high > 0.3 * Math.min(a.height, b.height))
      faults.push(one.textContent + ' lies over ' + other.textContent);
  }
});
return faults;
"""
"""What a presenter would not want, as texts: nothing may be small, cut off, or over another."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_installed(), reason="needs Chromium: chromium and chromium-driver"),
]
only_when_asked = pytest.mark.skipif(
    not SHOTS, reason="needs a folder for screenshots: make test-demos"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One engine for all."""
    with running_lab() as one:
        yield one


@pytest.fixture(scope="module")
def address(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab over a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("demos")
    shutil.copytree(FOLDER, folder / "notebooks")
    with jupyterlab(folder / "notebooks", folder, clean_environment(lab.env, folder)) as one:
        yield one


@contextmanager
def window(lab: Lab, folder: Path) -> Iterator[Browser]:
    with browser(folder, clean_environment(lab.env, folder)) as page:
        yield page


def show(page: Browser, address: str, name: str, *, way: str) -> None:
    """Open a demo in JupyterLab, or as a page, and wait until it fills the window."""
    if way == "lab":
        NotebookPage(page, address, f"demos/{name}.ipynb").run_cell("demo")
    else:
        page.open(address.replace("/lab/tree/PATH", f"/voila/render/demos/{name}.ipynb"))
    page.wait(IS_SHOWN)


def left(lab: Lab) -> list[Any]:
    """Containers, and networks that are not the engine's own."""
    _, containers = lab.api("GET", "/containers/json?all=1")
    _, networks = lab.api("GET", "/networks")
    assert isinstance(containers, list) and isinstance(networks, list)
    own = {"bridge", "host", "none"}
    return [*containers, *(one for one in networks if one["Name"] not in own)]


def test_a_demo_fills_the_window_answers_keys_and_ends_with_its_tab(
    lab: Lab, address: str, tmp_path: Path
) -> None:
    with window(lab, tmp_path) as page:
        page.resize(*SIZES[0])
        show(page, address, "11_namespaces", way="lab")
        assert page.run(FAULTS) == []
        assert len(left(lab)) == 2
        page.press("2")
        page.wait(f"return document.querySelector('{DEMO} svg').textContent.includes('--pid host')")
        page.press("\ue00c")  # Escape, in WebDriver's letters
        page.wait(f"return !document.querySelector('{DEMO}:popover-open')")
        page.run(f"document.querySelector('{DEMO} button').focus()")
        page.press("f")
        page.wait(IS_SHOWN)
        page.screenshot(tmp_path / "demo.png")
        page.close_tab()
        began_s = time.monotonic()
        wait_for(lambda: not left(lab), "what a closed page has made is gone", 60)
        took_s = time.monotonic() - began_s
        print(f"gone after {took_s:.1f} s")


@only_when_asked
@pytest.mark.parametrize("way", ["lab", "page"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("path", DEMOS, ids=lambda path: path.stem)
def test_a_presenter_sees_all_of_it(
    lab: Lab, address: str, tmp_path: Path, path: Path, size: tuple[int, int], way: str
) -> None:
    shots = Path(SHOTS)
    shots.mkdir(parents=True, exist_ok=True)
    faults: dict[str, Any] = {}
    with window(lab, tmp_path) as page:
        page.resize(*size)
        show(page, address, path.stem, way=way)
        faults["at the start"] = page.run(FAULTS)
        page.screenshot(shots / f"{path.stem}-{size[0]}-{way}-start.png")
        for control in demo_class(path.stem.split("_")[0]).controls:
            selector = f"{DEMO}-{control.key}"
            if isinstance(control, Slide):
                page.drag(f"{selector} .noUi-handle", 40)
            else:
                first = f"{selector} button:nth-of-type(2), button{selector}"
                page.click(first)
            time.sleep(0.5)
            page.wait(IS_IDLE, timeout_s=120)
            time.sleep(0.5)
            faults[control.key] = page.run(FAULTS)
            page.screenshot(shots / f"{path.stem}-{size[0]}-{way}-{control.key}.png")
        page.close_tab()
        wait_for(lambda: not left(lab), "what a closed page has made is gone", LIMIT_S)
    assert {when: found for when, found in faults.items() if found} == {}


@only_when_asked
@pytest.mark.parametrize("way", ["lab", "page"])
def test_a_killed_browser_leaves_nothing(
    lab: Lab, address: str, tmp_path: Path, way: str
) -> None:
    with pytest.raises((AssertionError, OSError)), window(lab, tmp_path) as page:  # its end
        show(page, address, "12_map", way=way)
        assert len(left(lab)) == 4
        for process in psutil.Process().children(recursive=True):
            if process.name().startswith("chromium"):
                process.kill()
        wait_for(lambda: not left(lab), "what a closed page has made is gone", LIMIT_S)
        raise AssertionError("the end of the session")


@only_when_asked
def test_a_reload_keeps_all(lab: Lab, address: str, tmp_path: Path) -> None:
    with window(lab, tmp_path) as page:
        show(page, address, "11_namespaces", way="lab")
        before = {one["Id"] for one in left(lab)}
        page.run("location.reload()")
        time.sleep(1)
        page.wait(
            "return window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'",
            timeout_s=120,
        )
        time.sleep(LIMIT_S)
        assert {one["Id"] for one in left(lab)} == before
        page.close_tab()
        wait_for(lambda: not left(lab), "what a closed page has made is gone", LIMIT_S)
