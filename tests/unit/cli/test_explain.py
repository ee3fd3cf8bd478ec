"""The table of `--explain`."""

import json

import pytest

from labkit.cli.show.explain import Table, render

ID = "0123456789ab" + "c" * 52


def step(name: str, phase: str, call: str, ns: int | None, **more: object) -> dict[str, object]:
    why = more.pop("Why", f"why {name}")
    fields = {"Step": name, "Phase": phase, "Call": call, "Why": why, "DurationNs": ns}
    return fields | {"Errno": 0, "Error": ""} | more


STEPS = [
    step("cgroup.cpu", "host", f'mkdir("/sys/fs/cgroup/cpu/labkit/{ID}", 0755)', 51_000),
    step("namespace.pid", "clone", "clone3({flags: CLONE_NEWPID})", 600_000),
    step("mount.proc", "child", f'mount("proc", "/proc", "proc", {"MS_NOSUID|" * 12}0)', 41_000),
    step("masked_paths", "child", 'mount("/dev/null", "/proc/keys")', 10_000, Why="harm"),
    step("masked_paths", "child", 'mount("/dev/null", "/proc/kcore")', 9_000, Why="harm"),
    step("exec", "child", 'execve("true", ["true"], environment)', 1_500_000),
]
FAILED = [
    *STEPS[:-1],
    step("exec", "child", "execve(…)", None, Errno=2, Error="nosuch: not found"),
    step("never", "child", "never()", None),
]


@pytest.mark.parametrize("columns", [80, 100, 110, 120, 140])
def test_every_step_is_there_and_no_line_is_too_long(columns: int) -> None:
    lines = list(Table(columns, colours=False).lines(STEPS))
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    for wanted in (
        "cgroup.cpu",
        "why cgroup.cpu",
        "0.051 ms",
        "execve(",
        "1.500 ms",
        "/proc/kcore",
    ):
        assert wanted in text
    assert text.count("masked_paths") == 1
    assert text.count("harm") == 1
    assert "0123456789ab…" in text


def test_phases_and_sums() -> None:
    lines = list(Table(80, colours=False).lines(STEPS))
    headings = [
        line.split(":")[0] for line in lines if line.split(":")[0] in ("host", "clone", "child")
    ]
    assert headings == ["host", "clone", "child"]
    assert [line.split()[-2] for line in lines if line.startswith("child:")] == ["1.560"]
    assert [line.split()[-2] for line in lines if line.startswith("6 steps")] == ["2.211"]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_failed_step_says_so_and_the_rest_is_counted(columns: int) -> None:
    text = "\n".join(Table(columns, colours=False).lines(FAILED))
    assert "✗ ENOENT" in text
    assert "✗ nosuch: not found" in text
    assert "never()" not in text
    assert "not reached: 1 more" in text


def test_colours_only_when_asked() -> None:
    assert "\x1b" not in "\n".join(Table(80, colours=False).lines(FAILED))
    coloured = "\n".join(Table(80, colours=True).lines(FAILED))
    assert "\x1b[1m" in coloured
    assert "\x1b[1;31m" in coloured


def test_json_is_one_document_with_everything() -> None:
    assert json.loads(render(FAILED, "json")) == FAILED
