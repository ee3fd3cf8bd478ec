"""Writes the sources of an edition, and lets Sphinx build it from them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from labkit.course.editions import front, pages
from labkit.course.handout import release
from labkit.course.start import chapters
from labkit.errors import LabkitError

_OWN = os.path.dirname(__file__)
_MARK = "searchindex.js"
"""Every site of Sphinx has this file."""
PDF_TIMEOUT_S = 300


def site(target: str, python: str, only: str = "") -> str:
    """Build the web edition in the folder `target`; the path of its first page.

    `python` is that of the environment with Sphinx.  `only` is one chapter to build ("03"), with
    the first page and the glossary.  Raises LabkitError with Sphinx's words.
    """
    with tempfile.TemporaryDirectory(prefix="labkit-site-") as folder:
        source, built = f"{folder}/source", f"{folder}/built"
        write_sources(source, is_printed=False, only=only)
        _sphinx(python, "html", source, built, strict=not only)
        _replace(built, target)
    return f"{target}/index.html"


def _replace(built: str, target: str) -> None:
    """Put a built site in the place of an older one; LabkitError for a folder of another kind."""
    if os.path.isdir(target) and os.listdir(target):
        if not os.path.exists(f"{target}/{_MARK}"):
            raise LabkitError(f"{target} is not empty, and is not a site: name another folder")
        shutil.rmtree(target)
    shutil.copytree(built, target, dirs_exist_ok=True)


def printed(target: str, python: str, browser: str) -> str:
    """Build the printed edition, the PDF `target`; its path.

    `browser` is the command of a Chromium.  Raises LabkitError with Sphinx's or its words.
    """
    with tempfile.TemporaryDirectory(prefix="labkit-print-") as folder:
        source, built = f"{folder}/source", f"{folder}/built"
        write_sources(source, is_printed=True)
        _sphinx(python, "singlehtml", source, built, "-D", "html_theme=basic")
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        _print(browser, f"{built}/index.html", os.path.abspath(target), folder)
    return target


def write_sources(folder: str, *, is_printed: bool, only: str = "") -> None:
    """Write what Sphinx builds from: pages, settings, styles."""
    os.makedirs(f"{folder}/_static", exist_ok=True)
    shutil.copyfile(f"{_OWN}/sphinx_conf.py", f"{folder}/conf.py")
    style = "print.css" if is_printed else "style.css"
    shutil.copyfile(f"{_OWN}/{style}", f"{folder}/_static/style.css")
    shutil.copyfile(f"{_OWN}/page.js", f"{folder}/_static/page.js")
    for name, text in _texts(is_printed=is_printed):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    for chapter in chapters.every():
        if only in ("", chapter.number):
            page = pages.page(chapter.number, is_printed=is_printed)
            release.write(f"{folder}/{chapter.file}", page)


def _texts(*, is_printed: bool) -> Iterator[tuple[str, str]]:
    yield "index.md", front.first_page(is_printed=is_printed)
    yield "glossary.md", front.glossary_page(is_printed=is_printed)
    if is_printed:
        yield "answers.md", front.answers_page()


def _sphinx(
    python: str, builder: str, source: str, target: str, *options: str, strict: bool = True
) -> None:
    """Run Sphinx; a warning, such as a link that leads nowhere, is an error."""
    words = [python, "-m", "sphinx", "-b", builder, "-q", "-E", "-d", f"{source}/.doctrees"]
    words += ["-W", "--keep-going"] if strict else []
    done = subprocess.run(
        [*words, *options, source, target], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabkitError(f"Sphinx could not build the pages:\n{done.stderr}")


def _print(browser: str, page: str, target: str, folder: str) -> None:
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += [f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
    words += ["--generate-pdf-document-outline", f"--print-to-pdf={target}", f"file://{page}"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=PDF_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabkitError(f"{browser} could not print the pages: {error}") from None
    if done.returncode != 0 or not os.path.exists(target):
        raise LabkitError(f"{browser} could not print the pages:\n{done.stderr}")
