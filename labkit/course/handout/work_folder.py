"""A learner's own folder with the released pages.

Pages have no outputs and no execution numbers there.  A new release replaces a page that the
learner has not changed.  A changed page is never overwritten: it is kept as
`09_limits (yours).ipynb` beside the new one.  Running a page does not count as a change.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import labkit
from labkit.course.handout import person, release
from labkit.errors import InvalidParameterError, NotFoundError

NAME = "labkit-course"
PARTS = ("", "exercises", "demos")


def source() -> str:
    """The folder with the course's pages; NotFoundError if labkit was installed without them."""
    folder = os.path.join(os.path.dirname(os.path.dirname(labkit.__file__)), "notebooks")
    if not os.path.isdir(folder):
        raise NotFoundError("the course's pages are not installed here: use a checkout of labkit")
    return folder


def usual() -> str:
    """The folder in the home of the person who calls, also with sudo."""
    return f"{person.home()}/{NAME}"


class Page(NamedTuple):
    """A page as it is handed out."""

    digest: str
    notebook: dict[str, Any]


def update(folder: str, pages: str = "") -> list[str]:
    """Make the folder, or update it; returns a line for each action.

    NotFoundError without pages; InvalidParameterError for a folder that is the pages' own, or in
    which the person may not write.
    """
    offered = _offered(folder, pages)
    person.make_folder(folder)
    with person.acting():
        released = _read_record(folder)
        said = []
        for name, page in offered.items():
            if line := _bring(f"{folder}/{name}", released.get(name), page):
                said.append(f"{name}: {line}")
            released[name] = page.digest
        _write_record(folder, released)
    return said


def _bring(target: str, released: str | None, page: Page) -> str:
    """Hand out a page if it is new; returns words for the action, "" for none.

    `released` is the digest of the page's last release.
    """
    said = "new"
    if os.path.lexists(target):
        own = digest_of(target)
        if page.digest in (released, own):
            return ""
        said = "a new release"
        if own != released:
            said += f"; your page is now {_keep(target)}"
    release.write(target, page.notebook)
    return said


def reset(folder: str, chapter: str, pages: str = "") -> list[str]:
    """Replace a chapter and its exercises by a clean copy; returns a line for each action.

    A changed page is kept beside the copy.  NotFoundError if there is no such chapter.
    """
    offered = _offered(folder, pages)
    found = [name for name in offered if os.path.basename(name).startswith(f"{chapter}_")]
    if not found:
        raise NotFoundError(f"there is no page for chapter {chapter!r}: a chapter is 00 to 13")
    person.make_folder(folder)
    said = []
    with person.acting():
        released = _read_record(folder)
        for name in found:
            target, page = f"{folder}/{name}", offered[name]
            if os.path.lexists(target) and digest_of(target) != page.digest:
                said.append(f"{name}: your page is now {_keep(target)}")
            release.write(target, page.notebook)
            released[name] = page.digest
            said.append(f"{name}: a clean copy")
        _write_record(folder, released)
    return said


def _offered(folder: str, pages: str) -> dict[str, Page]:
    """The pages by name; they are read before, since a person may not read root's checkout."""
    pages = pages or source()
    _refuse_own(folder, pages)
    offered = {}
    for name in _every(pages):
        notebook = release.stripped(release.read(f"{pages}/{name}"))
        offered[name] = Page(_digest(notebook), notebook)
    return offered


def digest_of(path: str) -> str:
    """The digest of what a page says, without its outputs; "" if it cannot be read as a page."""
    try:
        return _digest(release.stripped(release.read(path)))
    except (InvalidParameterError, OSError):
        return ""


def _digest(notebook: dict[str, Any]) -> str:
    said = [[cell["cell_type"], cell["source"]] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _every(pages: str) -> Iterator[str]:
    for part in PARTS:
        folder = f"{pages}/{part}".rstrip("/")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".ipynb") and "(yours" not in name:
                yield f"{part}/{name}".lstrip("/")


def _keep(target: str) -> str:
    """Rename a learner's page, and return its new name."""
    stem = target.removesuffix(".ipynb")
    number = 1
    while os.path.lexists(kept := f"{stem} (yours{'' if number == 1 else f' {number}'}).ipynb"):
        number += 1
    os.rename(target, kept)
    return os.path.basename(kept)


def _refuse_own(folder: str, pages: str) -> None:
    project = os.path.realpath(os.path.dirname(pages))
    if f"{os.path.realpath(folder)}/".startswith(f"{project}/"):
        raise InvalidParameterError(
            f"{folder} is inside the project: use a folder outside of it (--folder)"
        )


def _read_record(folder: str) -> dict[str, str]:
    try:
        with open(f"{folder}/{person.RECORD}", encoding="utf-8") as file:
            kept = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_record(folder: str, released: dict[str, str]) -> None:
    path = f"{folder}/{person.RECORD}"
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(released, file, indent=1)
    os.replace(f"{path}.new", path)
