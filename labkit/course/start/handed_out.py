"""The start page in a learner's folder: it opens with the learner's own progress on it.

Other pages are handed out without outputs.  This one has one, so that it can be read at once.
"""

import os

from labkit.course.handout import release, work_folder
from labkit.course.start import chapters, state
from labkit.course.start.page import Page

CELL = "page"
"""The id of the cell that shows the page."""


def bring_up_to_date(folder: str) -> None:
    """Show the progress on the start page in `folder`, unless the learner has changed the page."""
    target = f"{folder}/{chapters.START}"
    own = f"{work_folder.source()}/{chapters.START}"
    if work_folder.digest_of(target) != work_folder.digest_of(own):
        return
    page = Page(state.read())
    shown = {
        "data": {"text/plain": repr(page), "text/html": page._repr_html_()},
        "metadata": {},
        "output_type": "display_data",
    }
    notebook = release.stripped(release.read(own))
    for cell in notebook["cells"]:
        if cell.get("id") == CELL:
            cell["outputs"] = [shown]
    owner = os.stat(target)
    release.write(target, notebook)
    os.chown(target, owner.st_uid, owner.st_gid)
