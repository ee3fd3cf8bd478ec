"""The start page in a learner's folder: it opens with the learner's own progress on it.

Other pages are handed out without outputs.  This one has one, so that it can be read at once.
"""

from typing import Any

from labkit.course.handout import person, release, work_folder
from labkit.course.start import chapters, state
from labkit.course.start.page import Page

CELL = "page"
"""The id of the cell that shows the page."""


def bring_up_to_date(folder: str) -> None:
    """Show the progress on the start page in `folder`, unless the learner has changed the page."""
    target, own = f"{folder}/{chapters.START}", f"{work_folder.source()}/{chapters.START}"
    released, notebook = work_folder.digest_of(own), release.stripped(release.read(own))
    shown = _output(Page(state.read()))
    for cell in notebook["cells"]:
        if cell["id"] == CELL:
            cell["outputs"] = [shown]
    with person.acting():
        # An open page that has not changed on the disk is saved without a question.
        if work_folder.digest_of(target) == released and not _shows(target, shown):
            release.write(target, notebook)


def _output(page: Page) -> dict[str, Any]:
    data = {"text/plain": repr(page), "text/html": page._repr_html_()}
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def _shows(target: str, output: dict[str, Any]) -> bool:
    return any(output in cell.get("outputs", ()) for cell in release.read(target)["cells"])
