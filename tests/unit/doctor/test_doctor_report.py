"""The table fits, loses nothing, and ends with the right verdict."""

import json
import re

import pytest

from labkit import doctor
from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding

FINDINGS = [
    Finding("kernel", OK, "Linux 6.1", section="Kernel", required=True),
    Finding(
        "capabilities",
        LIMITED,
        "without CAP_SYS_RESOURCE: limits of processes (ulimit) cannot be raised",
        "kept back by whoever started this machine or container",
        section="Kernel",
        required=True,
    ),
    Finding("QEMU", MISSING, "no virtual machines", "apt-get install qemu", section="Machine"),
    Finding("time namespace", UNKNOWN, "not tried: that needs root", section="Namespaces"),
]


def words(text: str) -> list[str]:
    return re.findall(r"[^\s→]+", text)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 300])
def test_no_line_is_longer_than_the_terminal_and_no_word_is_lost(width: int) -> None:
    table = doctor.render(FINDINGS, width)
    assert max(map(len, table.splitlines())) <= width
    shown = words(table)
    for finding in FINDINGS:
        for word in words(f"{finding.name} {finding.detail} {finding.remedy}"):
            assert word in shown


def test_a_short_finding_is_one_line_under_its_heading() -> None:
    lines = doctor.render(FINDINGS, 80).splitlines()
    assert lines[0] == "Kernel"
    assert lines[1].split() == ["ok", "kernel", "Linux", "6.1"]


def test_colours_change_nothing_but_the_colours() -> None:
    coloured = doctor.render(FINDINGS, 80, colour=True)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == doctor.render(FINDINGS, 80)


def test_it_can_run_containers_while_nothing_required_is_missing() -> None:
    assert doctor.exit_status(FINDINGS) == 0
    table = doctor.render(FINDINGS, 100)
    assert "labkit can run containers here. Limited: capabilities. Missing: QEMU." in table


def test_one_required_thing_missing_and_it_cannot() -> None:
    broken = [*FINDINGS, Finding("overlay", MISSING, "EINVAL", "use ext4", required=True)]
    assert doctor.exit_status(broken) == 1
    assert "labkit cannot run containers here. It needs: overlay." in doctor.render(broken, 80)


def test_the_json_says_the_same() -> None:
    answer = json.loads(doctor.to_json(FINDINGS))
    assert answer["CanRunContainers"] is True
    assert [shown["State"] for shown in answer["Findings"]] == [f.state for f in FINDINGS]
    assert answer["Findings"][2] == {
        "Section": "Machine",
        "Name": "QEMU",
        "State": "missing",
        "Detail": "no virtual machines",
        "Remedy": "apt-get install qemu",
        "Required": False,
    }
