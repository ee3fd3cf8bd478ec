"""The glossary: each term with the sentence of a chapter that explains it, and a link to its cell.

Only the places are written here.  The sentences are the chapters' own, so they cannot differ.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from labkit.course.start import chapters
from labkit.errors import NotFoundError

_PLACES = """
attach 07:doors-why
blob 06:digests The store is a folder
bridge 12:keep veth pair is a cable
cache 04:cache the same image below
chain id 06:digests-why
client 02:talk command starts no container
CMD 07:starts
container 00:first-why
context 04:context gives the daemon
control group 10:keep A group is a folder
controller 10:folders-why
copy-on-write 03:own-why the kernel first **copied**
CPU shares 09:two One container has
daemon 02:keep The daemon builds
dangling 06:list-commit-why An image that has no name
digest 06:digests
Dockerfile 04:words A Dockerfile is
ENTRYPOINT 07:starts
event 08:machine
exec 07:doors-why
exec form 05:what-starts
export 08:pause
image 03:keep An image is a stack
image's id 06:digests-why
kernel 00:kernel
layer 03:stack Each layer holds
manifest 06:digests-how
mount namespace 11:mount
namespace 11:map A namespace has no name
network mode none 12:keep `none` is
network namespace 12:modes
opaque 03:deleted-why
pause 08:pause
PID namespace 11:pid
plan 00:hood
process 1 08:stop-why The first process
published port 12:host-bridge *published*
registry 02:registry The registry is
restart policy 08:restart
root file system 03:hood-why
semaphore 11:ipc Programs on one machine
shell form 05:what-starts
shim 02:keep child of its shim
SIGKILL 08:stop If it has not ended
SIGTERM 08:stop
stage 05:stages one Dockerfile may have
state 08:machine
storage driver 03:drivers The kernel cannot unite
swap 09:memory Swap is
tag 06:names
terminal 07:front-how
token 06:login One wants the password
user namespace 11:user A **user namespace** has
UTS namespace 11:uts
veth pair 12:keep
virtual machine 01:race The **virtual machine** is
volume 05:volume **VOLUME** names
weight of a disk 09:disk `--blkio-weight` is
whiteout 03:deleted-why A file of a lower layer
writable layer 03:own one more layer
"""
"""A line for each term: the term, its cell, and words of the sentence with which its text begins.

The text ends with the first sentence from there that has the term itself, if there is one.
"""


class Term(NamedTuple):
    """A term, the sentences that explain it, and the chapter and cell of these."""

    name: str
    text: str
    chapter: str
    cell: str

    @property
    def target(self) -> str:
        """A link to the cell."""
        return chapters.place(chapters.find(self.chapter), self.cell)


def terms() -> Iterator[Term]:
    """Every term, in alphabetical order; NotFoundError if a cell does not have its sentence."""
    lines = sorted(_PLACES.strip().splitlines(), key=str.lower)
    for line in lines:
        found = re.fullmatch(r"(.+?) (\d\d):([a-z-]+)(?: (.+))?", line)
        if found is None:
            raise NotFoundError(f"glossary: no term and cell in {line!r}")
        name, chapter, cell, words = found.groups()
        yield Term(name, _text(name, chapter, cell, words or name), chapter, cell)


def as_html() -> str:
    """The terms as a list, with links to the cells of the notebooks."""
    entries = "".join(
        f'<dt><a href="{term.target}">{html.escape(term.name)}</a></dt><dd>{_html(term.text)}</dd>'
        for term in terms()
    )
    return f"<dl>{entries}</dl>"


def _html(text: str) -> str:
    """Inline Markdown, as the chapters use it."""
    found = html.escape(text, quote=False)
    found = re.sub(r"`([^`]+)`", r"<code>\1</code>", found)
    found = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", found)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", found)


def _text(name: str, chapter: str, cell: str, begin: str) -> str:
    """The sentences of a Markdown cell that explain a term; NotFoundError."""
    source = next(
        (
            "".join(each["source"])
            for each in chapters.notebook(chapter)["cells"]
            if each["id"] == cell
        ),
        "",
    )
    sentences = list(_sentences(source))
    first = next((at for at, each in enumerate(sentences) if _has(each, begin)), None)
    if first is None:
        raise NotFoundError(f"glossary: cell {cell} of chapter {chapter} does not have {begin!r}")
    after = range(first, len(sentences))
    last = next((at for at in after if _has(sentences[at], name)), first)
    return " ".join(sentences[first : last + 1])


def _has(sentence: str, words: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(words)}", sentence, re.IGNORECASE) is not None


def _sentences(text: str) -> Iterator[str]:
    """The sentences of Markdown; headings and code are none, and links become words."""
    text = re.sub(r"(?ms)^```.*?^```$|^#+ .*?$|^\|.*?$", "", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    for block in re.split(r"\n\s*\n|^[-*] |^\d\. ", text, flags=re.MULTILINE):
        flat = " ".join(block.split())
        yield from re.split(r"(?<=[.!?])[)*]*\s+(?=[(\"A-Z`*])", flat)
