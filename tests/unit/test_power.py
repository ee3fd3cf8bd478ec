"""What a run says at its end where no container can run, and what `make lab` says first."""

import subprocess
import sys

from labkit.doctor.__main__ import refusal
from labkit.doctor.finding import LIMITED, MISSING, Finding
from tests import power

LACKING = Finding("mounts", MISSING, "mount: EPERM", required=True)


def test_the_end_says_how_many_where_and_why() -> None:
    folder = power.PROJECT / "tests/integration"
    left_out = [folder / "test_a.py", folder / "test_b.py", folder / "images/test_c.py"]
    lines = power.summary(left_out, ["needs BFQ", "needs BFQ"], ["mounts: mount: EPERM"])
    assert lines == [
        "3 tests that start real containers",
        "        2  tests/integration",
        "        1  tests/integration/images",
        "  because this machine lacks",
        "    mounts: mount: EPERM",
        "2 other tests, by what they need",
        "        2  needs BFQ",
    ]


def test_the_refusal_names_what_is_missing_and_the_ways_out() -> None:
    limits = Finding("swap", LIMITED, "none")
    for inside, said in ((True, "This machine is a container"), (False, "If this machine is")):
        text = refusal([limits, LACKING], inside=inside)
        assert "  - mounts: mount: EPERM" in text
        assert "swap" not in text
        assert said in text
        assert "--privileged" in text
        assert "vagrant up" in text


def test_the_doctor_needs_nothing_that_is_installed_later() -> None:
    """`make lab` asks it by the system's Python, before there is any environment."""
    program = "import sys; sys.path.insert(0, '.'); import labkit.doctor, labkit.doctor.trials"
    made = subprocess.run(
        [sys.executable, "-S", "-I", "-c", program],
        cwd=power.PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
