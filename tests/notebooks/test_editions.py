"""The editions without a lab: questions before answers, folds that close, links that lead on.

The sources are tested as they are written; the parser is the one that MyST builds on.  Where
`make site` was run, one page is also built.
"""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.course.editions import book, front, pages
from labkit.course.start import chapters, glossary
from labkit.errors import LabkitError, NotFoundError
from tests.notebooks.notebooks import CHAPTERS, PROJECT, code_cells, is_question, name_of, read

PYTHON = PROJECT / ".lab/editions/bin/python"
HIDDEN = re.compile(r'<details class="answer">.*?</details>', re.DOTALL)

every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name_of)


def rendered(notebook: Any) -> str:
    """The cells of a page as HTML, as MyST's parser reads them; outputs as their text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 takes a while

    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(markdown.render(source))
            continue
        if "remove-input" not in cell["metadata"].get("tags", []):
            parts.append(f"<pre>{html.escape(source)}</pre>")
        parts += [f"<output>{output.get('output_type')}</output>" for output in cell["outputs"]]
    return "\n".join(parts)


@every_chapter
def test_every_answer_is_in_a_fold_below_its_question(path: Path) -> None:
    chapter = path.name[:2]
    page = rendered(pages.page(chapter))
    assert page.count('<details class="answer">') == page.count("</details>")
    asked = pages.questions(chapter)
    assert len(asked) == sum(map(is_question, code_cells(read(path))))
    open_ = HIDDEN.sub("", page)
    for question in asked:
        answer = f'<p class="happened"><b>{pages.plain(question.answer)}</b></p>'
        place = page.index(f"<legend>Predict {question.number}</legend>")
        fold = page.index("<details", place)
        assert page.index(answer, fold) < page.index("</details>", fold)
        assert pages.plain(question.words) in open_
        assert answer not in open_


@every_chapter
def test_a_heading_is_never_in_a_fold(path: Path) -> None:
    page = rendered(pages.page(path.name[:2]))
    for fold in HIDDEN.findall(page):
        assert "<h" not in fold.replace("<hr", "")
        assert fold.count("<details") == 1


@every_chapter
def test_every_question_has_an_answer_of_its_own_choices(path: Path) -> None:
    for question in pages.questions(path.name[:2]):
        said = question.answer.removeprefix("It was").lstrip(": ").removesuffix(".")
        assert said, question.number
        if question.choices:
            assert said in question.choices, question.number
        else:
            assert re.fullmatch(rf"[\d.,]+ ?{re.escape(question.unit)}", said), question.number


@every_chapter
def test_the_printed_page_has_the_outputs_and_no_folds(path: Path) -> None:
    page = rendered(pages.page(path.name[:2], is_printed=True))
    assert "<details" not in page
    answers = front.answers_page()
    for question in pages.questions(path.name[:2]):
        assert f'href="#answer-{question.number}"' in page
        assert f'id="answer-{question.number}"' in answers
        assert f'href="#{pages.anchor(question.chapter, question.cell)}"' in answers
        assert pages.plain(question.answer) not in page.partition("<output>")[0]


@every_chapter
def test_links_of_a_page_lead_to_pages_of_the_edition(path: Path) -> None:
    there = {each.file for each in chapters.every()} | {"index.md"}
    for cell in pages.page(path.name[:2])["cells"]:
        if cell["cell_type"] == "markdown":
            links = re.findall(r"\]\(([^)#]+)", "".join(cell["source"]))
            assert {link for link in links if "://" not in link} <= there


def test_the_links_of_first_page_and_glossary_lead_to_cells() -> None:
    first, words = front.first_page(is_printed=False), front.glossary_page(is_printed=False)
    links = re.findall(r'href="(\d\d)_[a-z_]+\.html#([^"]+)"', first + words)
    assert len(links) == 29 + len(list(glossary.terms()))
    places = {
        chapter.number: re.findall(r'id="(cell-[^"]+)"', rendered(pages.page(chapter.number)))
        for chapter in chapters.every()
    }
    for chapter, place in links:
        assert place in places[chapter]
    assert all(len(each) == len(set(each)) for each in places.values())


def test_the_glossary_says_what_the_chapters_say() -> None:
    found = list(glossary.terms())
    assert len(found) > 50
    for term in found:
        texts = [
            " ".join("".join(cell["source"]).split())
            for cell in chapters.notebook(term.chapter)["cells"]
            if cell["id"] == term.cell
        ]
        flat = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", texts[0])
        assert term.text in flat, term.name
    assert [term.name.lower() for term in found] == sorted(term.name.lower() for term in found)
    shown = glossary.as_html()
    assert shown.count("<dt>") == len(found)
    assert "**" not in shown and "`" not in shown


def test_a_term_without_its_sentence_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glossary, "_PLACES", "daemon 02:keep no such sentence\n")
    with pytest.raises(NotFoundError, match="no such sentence"):
        list(glossary.terms())


def test_a_folder_that_is_no_site_is_not_replaced(tmp_path: Path) -> None:
    built, target = tmp_path / "built", tmp_path / "mine"
    built.mkdir()
    (built / "searchindex.js").touch()
    target.mkdir()
    (target / "diary.txt").write_text("mine")
    with pytest.raises(LabkitError, match="is not a site"):
        book._replace(str(built), str(target))
    assert (target / "diary.txt").read_text() == "mine"
    (target / "diary.txt").unlink()
    book._replace(str(built), str(target))
    (target / "old.html").touch()
    book._replace(str(built), str(target))
    assert [each.name for each in target.iterdir()] == ["searchindex.js"]


@pytest.mark.skipif(not PYTHON.exists(), reason="needs the editions' Sphinx: make site")
def test_one_page_is_built(tmp_path: Path) -> None:
    book.site(str(tmp_path / "site"), str(PYTHON), only="07")
    page = (tmp_path / "site/07_running_containers.html").read_text()
    assert page.count('<details class="answer">') == len(pages.questions("07"))
    assert "It was: always something else." in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//(?!pradyunsg|github)[^"]*\.(?:js|css)', page)
