"""How things are shown: tables, times, templates."""

import sys

import pytest

from labkit.cli.base.errors import UsageError, say
from labkit.cli.base.filters import filters_from
from labkit.cli.show.formats import Row, render
from labkit.cli.show.table import short_id, shortened, table
from labkit.client.images import split_tag


def test_table_columns_are_dockers() -> None:
    rows = [("abc", "a long cell here", "x"), ("d", "e", "")]
    assert table(("ID", "NAME", "LAST ONE"), rows) == (
        "ID        NAME               LAST ONE\nabc       a long cell here   x\nd         e\n"
    )


def test_table_without_rows_is_its_headings() -> None:
    assert table(("CONTAINER ID", "NAMES"), []) == "CONTAINER ID   NAMES\n"


def test_ids_and_long_texts() -> None:
    assert short_id("sha256:" + "ab" * 32) == "abababababab"
    assert short_id("sha256:ab", full=True) == "sha256:ab"
    assert shortened("x" * 20, 20) == "x" * 20
    assert shortened("x" * 21, 20) == "x" * 19 + "…"


def test_filters() -> None:
    given = ["status=exited", "label=a=b", "status=created"]
    assert filters_from(given) == {"status": ["exited", "created"], "label": ["a=b"]}
    with pytest.raises(UsageError, match='"running" for "-f, --filter" flag: bad format'):
        filters_from(["running"])


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("", ("", "")),
        ("a", ("a", "")),
        ("a:b", ("a", "b")),
        ("host:5000/a", ("host:5000/a", "")),
        ("host:5000/a:b", ("host:5000/a", "b")),
    ],
)
def test_references_are_split_at_the_tag(reference: str, parts: tuple[str, str]) -> None:
    assert split_tag(reference) == parts


ODD = "a\x1b[2Jb\x9bc\u202ed\ne"


def test_a_cell_does_not_command_the_terminal() -> None:
    assert table(("NAME",), [(ODD,)]) == "NAME\na?[2Jb?c?d?e\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_for_a_terminal_do_not_command_it(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    text = render("{{.Name}}", {"Name": "NAME"}, ("Name",), [Row({"Name": ODD})])
    assert text == ("a?[2Jb?c?d\ne\n" if is_terminal else f"{ODD}\n")


def test_a_message_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(ODD)
    assert capsys.readouterr().err == "labkit: a?[2Jb?c?d\ne\n"
