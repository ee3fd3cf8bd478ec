"""How labkit speaks: the part of its plain English that can be counted stays at zero.

A program is *it*, or has a name; a sentence names its subject; a docstring's first line stands
alone.  The texts are comments, docstrings, messages and the pages for people (*.md).
"""

import ast
import functools
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

RULES = {
    "a word to leave out": (
        r"\b(?:anew|shall|meanwhile|thereby|thereupon|whereupon|of (?:its|their|his|one's) own"
        r"|as good as|for want of|in the making|by hand of)\b"
    ),
    "a person's word for a program": r"\b(?:nobody|somebody|everybody|whoever|whomever)\b",
    "a verb that is not the field's": (
        r"\b(?:is|are|was|were|be|been|being) told\b|\b(?:to|could|can|cannot) be had\b"
        r"|\bhad back\b|\b(?:lies|stands)\b(?! for\b)"
    ),
    "a headless who": (
        r"(?:^|[.;:] +)(?:who|whose)\b(?![^.;:]*\?)"
        r"|\b(?:for|of|to|from|by|with|than|as|is|are|on) who(?:m|se)?\b"
    ),
    "a headless what": (
        r"(?:^|[.;:] +)what (?:is|are|was|were|has|have|had|it|they|one|no|a|the)\b(?![^.;:]*\?)"
        r"|\b(?:for|of|from|with|by) what (?:is|are|was|were|has|comes|goes)\b"
    ),
}
"""What is counted, and a regular expression for it; texts are compared in lower case."""

MESSAGE_RULES = {
    "a no for a not": r"(?<!there )\b(?:is|are) no (?!error to\b|longer\b|more\b|such\b)\S+",
    "a fact for a demand": r"[:;] (?:it|one) is (?:one of|true or|text or|\[|\w+ or \w+$)",
}
"""What no message has: a form that is asked for is one that a value must have."""

EXCEPTIONS = {
    "nobody": "the name of a user in /etc/passwd",
    "nobody:": "the same, in a line of that file",
    "as the user nobody": "the same user",
    "section root, and nobody": "the same user, in the title of a section",
    "what it does": "the head of a column",
}
"""Texts in which a match is no fault, and why."""

FIRST_WORDS = ("What ", "Who ", "Whose ", "Where ", "Which ")
"""A docstring that begins so is half a sentence: the subject is missing."""


def files() -> list[Path]:
    """The files whose texts are held to the rules."""
    patterns = ("labkit/*.py", "labkit/*.md", "bench/*.py", ":(glob)tests/*.py", ":(glob)*.md")
    names = subprocess.run(
        ["git", "ls-files", *patterns], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [PROJECT / name for name in names if (PROJECT / name).is_file()]


@functools.cache
def all_texts() -> list[tuple[str, str]]:
    """The texts of all files with their places; reading them takes longer than the search."""
    return [
        (f"{path.relative_to(PROJECT)}:{line}", text)
        for path in files()
        for line, text in texts(path)
    ]


@functools.cache
def all_messages() -> list[tuple[str, str]]:
    """The same for messages."""
    return [
        (f"{path.relative_to(PROJECT)}:{line}", text)
        for path in files()
        if path.suffix == ".py"
        for line, text in messages(path)
    ]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file with the lines they begin at: of a page its paragraphs."""
    source = path.read_text()
    if path.suffix == ".md":
        line = 1
        for paragraph in re.sub(r"(?s)```.*?```|`[^`\n]*`", _blank, source).split("\n\n"):
            yield line, paragraph
            line += paragraph.count("\n") + 2
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, re.sub(r"`[^`\n]*`", _blank, node.value)
    yield from _comments(source)


def _blank(found: re.Match[str]) -> str:
    """Code says nothing, but its lines count."""
    return "`" + re.sub(r"[^\n]", " ", found[0][1:-1]) + "`"


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """The comments; those of lines that follow each other are one text."""
    block: list[str] = []
    begin = end = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if block and line != end + 1:
            yield begin, "\n".join(block)
            block = []
        if not block:
            begin = line
        block.append(token.string.lstrip("# "))
        end = line
    if block:
        yield begin, "\n".join(block)


def faults(text: str, rule: str) -> list[str]:
    """The words of a text that break a rule."""
    plain = " ".join(text.lower().split())
    for allowed in EXCEPTIONS:
        if plain == allowed or (" " in allowed and allowed in plain):
            plain = plain.replace(allowed, "")
    return [found[0].strip(" .;:") for found in re.finditer(rule, plain)]


@pytest.mark.parametrize("rule", RULES)
def test_no_text_has(rule: str) -> None:
    found = [f"{at}: {words}" for at, text in all_texts() for words in faults(text, RULES[rule])]
    assert not found, f"{rule}:\n" + "\n".join(found)


@pytest.mark.parametrize("rule", MESSAGE_RULES)
def test_no_message_has(rule: str) -> None:
    found = [
        f"{at}: {words}"
        for at, text in all_messages()
        for words in faults(text, MESSAGE_RULES[rule])
    ]
    assert not found, f"{rule}:\n" + "\n".join(found)


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a file that are no docstrings; the values in an f-string are `…`."""
    tree = ast.parse(path.read_text())
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
            pieces = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and id(node) not in left_out:
            yield node.lineno, str(node.value)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node, clean=False)
            if found:
                yield node.body[0].lineno, found


def test_the_first_line_of_a_docstring_stands_alone() -> None:
    found = []
    for path in files():
        for line, text in docstrings(path) if path.suffix == ".py" else ():
            first = text.strip().partition("\n")[0].rstrip()
            if not first.endswith((".", ":", "?", "…")) or first.startswith(FIRST_WORDS):
                found.append(f"{path.relative_to(PROJECT)}:{line}: {first}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("The exit code of who was ended by SIGKILL", "a headless who"),
        ("Who may come in: a file.", "a headless who"),
        ("what is left goes", "a headless what"),
        ("a network of its own", "a word to leave out"),
        ("Nobody reads it any more.", "a person's word for a program"),
        ("the daemon is told why", "a verb that is not the field's"),
    ],
)
def test_a_sentence_that_is_not_plain(text: str, rule: str) -> None:
    assert faults(text, RULES[rule])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x is no folder", "a no for a not"),
        ("invalid pull policy: it is always or never", "a fact for a demand"),
        ("invalid condition: it is one of …", "a fact for a demand"),
    ],
)
def test_a_message_that_is_not_plain(text: str, rule: str) -> None:
    assert faults(text, MESSAGE_RULES[rule])


@pytest.mark.parametrize(
    "text",
    [
        "A user who owns it may read it.",
        "Who wrote it?",
        "What does `docker pull` send?",
        "It says what is missing.",
        "`*` stands for any name.",
        "nobody",
    ],
)
def test_a_plain_sentence(text: str) -> None:
    assert not [words for rule in RULES.values() for words in faults(text, rule)]
