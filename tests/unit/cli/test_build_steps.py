"""What a build shows on a terminal fits into it: a line that wraps could not be drawn over."""

import re

import pytest

from labkit.cli.show.build_steps import Steps, columns, cut

DRAWN_OVER = re.compile(r"\x1b\[[0-9]*[A-Z]")


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本語", 6), ("e\u0301te\u0301", 3), ("\uff21b", 3)]
)
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


def test_a_wide_character_is_not_cut_in_two() -> None:
    assert cut("a日本", 4) == "a日"
    assert cut("a日本", 5) == "a日本"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = Steps()
    long = "日本語 and more " * 20
    shown.text(f"Step 1/2 : RUN {long}\n---\n{long}\n\tx{long}\n")
    shown.tick()
    shown.text("Step 2/2 : RUN true\n")
    shown.close(failed=False)
    lines = DRAWN_OVER.sub("", capsys.readouterr().out).splitlines()
    assert len(lines) > 4
    assert max(map(columns, lines)) <= width
