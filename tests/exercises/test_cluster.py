"""Submissions graded by the workers of a Dask cluster: the same scores, whatever their number."""

import importlib.util
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from labkit.course.grading import classroom
from labkit.course.handout import release
from labkit.errors import DaemonUnavailableError, InvalidParameterError
from tests.exercises.classroom import KINDS, LIMITS, PARENT, hand_in

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
TAKEN = ("good", "empty", "wrong", "half") * 2


@pytest.fixture(autouse=True, scope="module")
def no_tracker_is_left() -> Iterator[None]:
    """multiprocessing's own helper process lives as long as this one, and is no leak."""
    yield
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]  # it has no public way


def needs_dask() -> None:
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("needs Dask: make test-cluster")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_workers_give_the_scores_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    needs_dask()
    from distributed import LocalCluster  # noqa: PLC0415  optional

    monkeypatch.setenv("LABKIT_CGROUP_PARENT", PARENT)
    handed = [
        hand_in(tmp_path / "submitted", f"s{at}", KINDS[kind][0]) for at, kind in enumerate(TAKEN)
    ]
    with LocalCluster(
        n_workers=count, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    ) as local:
        options = classroom.Options(
            str(tmp_path / "graded"), limits=LIMITS, scheduler=local.scheduler_address
        )
        begin = time.monotonic()
        results = classroom.grade(handed, options, lambda _: None)
        print(f"{count} workers: {len(results)} submissions in {time.monotonic() - begin:.0f} s")
    assert [result.score for result in results] == [KINDS[kind][1] for kind in TAKEN]
    assert (tmp_path / "graded/grades.csv").exists()


def test_an_instructors_own_exercises_travel_with_the_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_dask()
    from distributed import LocalCluster  # noqa: PLC0415  optional

    monkeypatch.setenv("LABKIT_CGROUP_PARENT", PARENT)
    _, source = release.new("14_mine", str(tmp_path / "ours"))
    made = release.read(source)
    for cell in made["cells"]:
        if cell["id"] == "answer-14-1":
            cell["source"] = "%docker run -d --name {t14_1.name} busybox sleep {t14_1.seconds}"
    path = tmp_path / "theirs/ann/14_mine/14_mine.ipynb"
    release.write(str(path), made)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local:
        options = classroom.Options(
            str(tmp_path / "graded"), str(tmp_path / "ours"), scheduler=local.scheduler_address
        )
        (result,) = classroom.grade(classroom.find([str(path)]), options, lambda _: None)
    assert (result.score, result.max_score) == (5, 5), result


def test_without_a_cluster_the_reason_is_said(tmp_path: Path) -> None:
    handed = hand_in(tmp_path / "submitted", "ann", {})
    options = classroom.Options(str(tmp_path / "graded"), scheduler="tcp://127.0.0.1:9")
    has_dask = importlib.util.find_spec("distributed") is not None
    with pytest.raises(
        DaemonUnavailableError if has_dask else InvalidParameterError,
        match="dask scheduler" if has_dask else r"labkit-engine\[cluster\]",
    ):
        classroom.grade([handed], options, lambda _: None)
