"""The acceptance test of chapter 13: each judge passes the reference, and catches each mistake."""

import ast
import os
from pathlib import Path
from typing import TypeGuard

import pytest

from labkit.course.capstone import given, workshop
from labkit.course.capstone.judging import JUDGES, judge
from tests.capstone.wrong import EVERY, Wrong, up_to

REFERENCE = Path(__file__).with_name("mini.py")
LINES_MAX = 200
IMPORTED = "from labkit.kernel.network.netlink import RouteSocket"


def lines_of_code(text: str) -> int:
    """The size of a learner's work: lines of code, without imports, docstrings, comments, empty
    lines, the lines that were handed out, and the bonus stage.
    """
    handed_out = workshop.START.splitlines()
    skipped = {number for number, line in enumerate(text.splitlines(), 1) if line in handed_out}
    for node in ast.walk(ast.parse(text)):
        if _is_words(node) or _is_bonus(node):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(
        number not in skipped and line.strip(" ").partition("#")[0] != "" for number, line in lines
    )


def _is_words(node: ast.AST) -> TypeGuard[ast.stmt]:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom)


def _is_bonus(node: ast.AST) -> TypeGuard[ast.stmt]:
    """Whether a statement is for user namespaces alone."""
    if isinstance(node, ast.FunctionDef):
        return node.name in ("make_users", "show_mapped")
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) in ("users", "has_users")
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("users", "has_users")


@pytest.mark.root
@pytest.mark.parametrize("stage", JUDGES)
def test_the_reference_passes(stage: int) -> None:
    findings = judge(stage, str(REFERENCE))
    assert len(findings) > 2
    assert [one for one in findings if not one.holds] == []


@pytest.mark.root
@pytest.mark.parametrize("wrong", EVERY, ids=lambda one: f"{one.stage}-{one.name}")
def test_a_mistake_is_caught(tmp_path: Path, wrong: Wrong) -> None:
    text = REFERENCE.read_text()
    for old, new in wrong.changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    engine = tmp_path / "mini.py"
    engine.write_text(text)
    bad = [one for one in judge(wrong.stage, str(engine)) if not one.holds]
    for words in wrong.found:
        assert any(words in one.what for one in bad), (words, bad)
    assert all(one.found in one.hint(1) for one in bad)
    assert all(one.hint(1) != one.hint(3) for one in bad if one.idea)


@pytest.mark.root
@pytest.mark.parametrize("stage", JUDGES)
def test_nothing_done_passes_nothing(tmp_path: Path, stage: int) -> None:
    """A file as the chapter hands it out fails each stage at its first look."""
    engine = tmp_path / "mini.py"
    engine.write_text(workshop.START)
    findings = judge(stage, str(engine))
    assert not findings[0].holds


@pytest.mark.root
@pytest.mark.parametrize("stage", range(1, 11))
def test_a_stage_needs_nothing_of_later_ones(tmp_path: Path, stage: int) -> None:
    engine = tmp_path / "mini.py"
    engine.write_text(up_to(stage, REFERENCE.read_text()))
    assert engine.read_text() != REFERENCE.read_text()
    assert [one for one in judge(stage, str(engine)) if not one.holds] == []


@pytest.mark.root
@pytest.mark.parametrize("stage", range(2, 12))
def test_the_stage_before_fails_and_the_judge_does_not(tmp_path: Path, stage: int) -> None:
    """A learner calls the check of a stage with the file of the one before."""
    engine = tmp_path / "mini.py"
    engine.write_text(up_to(stage - 1, REFERENCE.read_text()))
    bad = [one.what for one in judge(stage, str(engine)) if not one.holds]
    assert bad
    assert "the judge" not in bad


def test_a_folder_with_a_mount_in_it_is_not_removed(tmp_path: Path) -> None:
    """A mount that a mistake has left: /proc has one below it on every machine."""
    with pytest.raises(OSError, match="mounted"):
        given.remove_folder(Path("/proc"))
    given.remove_folder(tmp_path)
    assert not tmp_path.exists()


def test_the_reference_is_small() -> None:
    assert lines_of_code(REFERENCE.read_text()) <= LINES_MAX


def test_the_reference_is_not_in_the_package() -> None:
    package = Path(workshop.__file__).parent
    texts = {path.name: path.read_text() for path in package.rglob("*.py")}
    lines = {line.strip() for line in REFERENCE.read_text().splitlines() if len(line.strip()) > 40}
    given = texts.pop("given.py")
    for name, text in texts.items():
        known = {*map(str.strip, given.splitlines()), *workshop.START.splitlines(), IMPORTED}
        assert not {line for line in lines - known if line in text}, name
    assert os.path.commonpath([package, REFERENCE]) != str(package)
