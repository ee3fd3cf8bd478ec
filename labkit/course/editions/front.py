"""The first page of an edition, and its last pages with the answers."""

from labkit.course.editions.pages import Question, anchor, plain, questions
from labkit.course.start import chapters, glossary
from labkit.course.start.points import POINTS

_FIRST = """# Containers, from end to end

This is the course of labkit, a container engine that is small enough to read. Each chapter asks
what you expect, runs it for real, and shows what happened. {how}

Everything here was run on a Linux machine. To run it yourself, and to change it, get labkit and
type `make lab`.
"""
_WEB = "Answer a question before you open its fold: nothing is sent anywhere."
_PRINT = "Answer a question before you read on. The answers are on the last pages."


def first_page(*, is_printed: bool) -> str:
    """The first page, in MyST's Markdown; the web edition's has a table of contents."""
    how = _PRINT if is_printed else _WEB
    parts = [_FIRST.format(how=how), _contents(is_printed=is_printed)]
    if not is_printed:  # a chapter printed after a heading would be below it
        parts += ["## Chapters", _chapters(), "## The notes, sentence by sentence", _points()]
    return "\n\n".join(parts)


def glossary_page(*, is_printed: bool) -> str:
    """The glossary; each term links to its cell."""
    parts = ["# Glossary"]
    for term in glossary.terms():
        address = web_address(term.chapter, term.cell)
        target = address[address.index("#") :] if is_printed else address
        parts.append(
            f'**{term.name}** (<a href="{target}">chapter {int(term.chapter)}</a>): {term.text}'
        )
    return "\n\n".join(parts) + "\n"


def answers_page() -> str:
    """The answers to all questions, each with a link back to its question."""
    parts = ["# Answers", "What happened when the chapters were run; numbers differ by machine."]
    for chapter in chapters.every():
        lines = "".join(map(_answer, questions(chapter.number)))
        parts += [f"## Chapter {int(chapter.number)}", f'<ul class="answers">{lines}</ul>']
    return "\n\n".join(parts) + "\n"


def _answer(question: Question) -> str:
    target = anchor(question.chapter, question.cell)
    return (
        f'<li><a id="answer-{question.number}" href="#{target}">{question.number}</a> '
        f"{plain(question.words)} <b>{plain(question.answer)}</b></li>"
    )


def _chapters() -> str:
    return "\n".join(
        f"- [{int(each.number)}. {each.title}]({each.file}), {each.minutes} minutes"
        for each in chapters.every()
    )


def _points() -> str:
    lines = []
    for point in POINTS:
        chapter, cell = point.cells[0]
        target = web_address(chapter, cell)
        lines.append(f'- {point.name} <a href="{target}">{point.words}</a>')
    return "\n".join(lines)


def web_address(chapter: str, cell: str) -> str:
    """The address of a cell in the web edition."""
    file, _, _ = chapters.place(chapters.find(chapter), cell).partition("#")
    return f"{file.removesuffix('.ipynb')}.html#{anchor(chapter, cell)}"


def _contents(*, is_printed: bool) -> str:
    names = [each.file.removesuffix(".ipynb") for each in chapters.every()]
    names += ["glossary", "answers"] if is_printed else ["glossary"]
    listed = "\n".join(names)
    if is_printed:
        return f"{_chapters()}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    return f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{listed}\n```\n"
