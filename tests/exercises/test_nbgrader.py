"""nbgrader's own tools take the exercises as they are: release, autograde, feedback, export."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.course.exercises import release
from tests.exercises.classroom import MEMORY, NAME, notebook
from tests.lab import Lab
from tests.notebooks.places import environment

CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "labkit"
c.ClearSolutions.code_stub = {"python": "# your answer"}
c.ExecutePreprocessor.timeout = 120
c.Exchange.root = "exchange"
"""


@pytest.mark.root
@pytest.mark.timeout(600)
def test_the_whole_way_through_nbgrader(lab: Lab, tmp_path: Path) -> None:
    if importlib.util.find_spec("nbgrader") is None:
        pytest.skip("needs nbgrader")
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    release.write(str(tmp_path / "source" / NAME / f"{NAME}.ipynb"), notebook({}))

    programs = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    own = {"LABKIT_LEARNER": "ann", "HOME": str(tmp_path), "PATH": programs}

    def nbgrader(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *words],
            cwd=tmp_path,
            env=environment(lab, str(tmp_path)) | own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    nbgrader("generate_assignment", NAME)
    released = tmp_path / "release" / NAME / f"{NAME}.ipynb"
    given = json.loads(released.read_text())
    for cell in given["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "answer-09-5":
            cell["source"] = MEMORY
    place = tmp_path / "submitted" / "ann" / NAME / f"{NAME}.ipynb"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(given))
    nbgrader("autograde", NAME)
    nbgrader("generate_feedback", NAME)
    nbgrader("export")
    with (tmp_path / "grades.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    # One of two is solved; its neighbour has the points of what is met: none.
    assert (row["student_id"], row["assignment"]) == ("ann", NAME)
    assert (float(row["score"]), float(row["max_score"])) == (6, 12)
    assert os.path.exists(tmp_path / "feedback" / "ann" / NAME / f"{NAME}.html")
