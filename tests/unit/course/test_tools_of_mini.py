"""The page of chapter 13 shows each stage's tools as the code describes them now."""

import json
import re
from pathlib import Path

import pytest

from labkit.course.capstone import workshop

PAGE = Path(__file__).parents[3] / "notebooks" / "13_mini.ipynb"


def shown() -> dict[int, str]:
    """The tables in the page, by stage, with single spaces."""
    found = {}
    for cell in json.loads(PAGE.read_text(encoding="utf-8"))["cells"]:
        call = re.fullmatch(r"workshop\.tools\((\d+)\)", "".join(cell["source"]).strip())
        if call:
            text = "".join(cell["outputs"][0]["data"]["text/plain"])
            found[int(call[1])] = " ".join(text.split())
    return found


@pytest.mark.parametrize("stage", workshop.TOOLS)
def test_the_page_shows_the_tools_of(stage: int) -> None:
    # Python's own functions are left out: their descriptions differ between its versions.
    for where, what, does in workshop.tools(stage).rows:
        if where.startswith(("labkit", "given")):
            assert " ".join(f"{where} {what} {does}".split()) in shown()[stage]
