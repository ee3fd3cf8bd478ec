"""The start page as HTML, and the same page kept up to date while it is open.

A page that JupyterLab does not trust yet loses style sheets, scripts and ARIA attributes, so the
styles are in the elements and every state is in words.  Colours of letters are the theme's own; the
few others have at least 3:1 on a white and on a black page (WCAG 2.2, 1.4.11).
"""

import html
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from labkit.course.exercises import record
from labkit.course.start import glossary, progress, state
from labkit.course.start.state import Card, Light, Link, State
from labkit.errors import LabkitError

LOOK_AGAIN_S = 1.0
EDGE, FULL, ON_FULL = "#7A828C", "#2A8379", "#FFFFFF"
_CARD = (
    f"display:inline-block;vertical-align:top;box-sizing:border-box;font-size:13px;width:194px;min-height:120px;"
    f"margin:0 8px 8px 0;padding:7px 10px;border:1px solid {EDGE};border-radius:6px"
)
_BAR = f"height:8px;border:1px solid {EDGE};border-radius:4px;overflow:hidden;margin:5px 0 2px 0"
_HEADING = "margin:14px 0 8px 0"
_LIST = "list-style-type:none;margin:0;padding:0"
_BADGE = (
    "display:inline-block;width:40px;text-align:center;border-radius:9px;margin-right:8px;"
    "font-size:12px;line-height:18px"
)
_POINT = (
    "display:inline-block;vertical-align:top;box-sizing:border-box;width:412px;max-width:100%;"
    "padding:3px 10px 3px 0"
)


class Page:
    """The start page of a state: HTML, and the same as text."""

    def __init__(self, shown: State) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        lines = [_first(self.shown), ""]
        for card in self.shown.cards:
            lines.append(f"{_title(card)}: {_minutes(card)}, {_cells(card)}")
        lines += ["", *(f"{each.name} {each.words}{_seen(each)}" for each in self.shown.lights)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        fault = f"<p><b>{html.escape(self.shown.fault)}</b></p>" if self.shown.fault else ""
        cards = "".join(map(_card, self.shown.cards))
        lights = "".join(map(_light, self.shown.lights))
        seen = sum(each.ran > 0 for each in self.shown.lights)
        return (
            f'<div class="labkit-start">{fault}{_first_html(self.shown)}'
            f'<h2 style="{_HEADING}">Chapters</h2><ul style="{_LIST}">{cards}</ul>'
            f'<h2 style="{_HEADING}">The notes, sentence by sentence</h2>'
            f"<p>You have seen {seen} of {len(self.shown.lights)}. "
            f"A sentence lights up when a cell that shows it has run.</p>"
            f'<ul style="{_LIST}">{lights}</ul>'
            f'<h2 style="{_HEADING}">Glossary</h2>'
            f"<details><summary>The terms, and the cells that explain them</summary>"
            f"{glossary.as_html()}</details></div>"
        )


def start_page() -> None:
    """Show the page, and bring it up to date for as long as the kernel lives."""
    from IPython.display import display  # noqa: PLC0415 only a page needs it

    handle = display(Page(state.read()), display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types
    threading.Thread(target=_follow, args=(handle.update,), daemon=True).start()


def _follow(show: Callable[[Any], None]) -> None:
    before = _stamps()
    wait = threading.Event()
    while not wait.wait(LOOK_AGAIN_S):
        if (now := _stamps()) != before:
            before = now
            with suppress(LabkitError, OSError):
                show(Page(state.read()))


def _stamps() -> tuple[int, ...]:
    """When the files behind the page have changed, in nanoseconds."""
    return tuple(map(_changed, (progress.path(), record.path())))


def _changed(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_mtime_ns
    return 0


def _first(shown: State) -> str:
    if shown.go_on is None:
        return "You have run every cell of every chapter."
    return f"{'Begin' if shown.is_new else 'Go on'} with {shown.go_on.words}"


def _first_html(shown: State) -> str:
    if shown.go_on is None:
        return f"<p><b>{_first(shown)}</b></p>"
    word = "Begin with" if shown.is_new else "Go on where you stopped:"
    return f'<p style="font-size:18px">{word} {_link(shown.go_on)}</p>'


def _link(link: Link) -> str:
    return f'<a href="{html.escape(link.target)}">{html.escape(link.words)}</a>'


def _title(card: Card) -> str:
    return f"{int(card.chapter.number)}. {card.chapter.title}"


def _minutes(card: Card) -> str:
    hours, minutes = divmod(card.chapter.minutes, 60)
    return f"{hours} hours" if hours > 1 and not minutes else f"{card.chapter.minutes} minutes"


def _cells(card: Card) -> str:
    if card.ran == card.cells:
        return f"✓ all {card.cells} cells"
    return f"{card.ran} of {card.cells} cells"


def _card(card: Card) -> str:
    percent = 100 * card.ran // max(card.cells, 1)
    further = [card.exercises] if card.exercises else []
    links = "".join(f"<div>{_link(each)}</div>" for each in (*further, *card.demos))
    return (
        f'<li style="{_CARD}"><div style="font-weight:bold;font-size:14px">'
        f"{_link(Link(_title(card), card.chapter.file))}</div>"
        f'<div style="{_BAR}">'
        f'<div style="height:8px;width:{percent}%;background:{FULL}"></div></div>'
        f"<div>{_cells(card)} · {_minutes(card)}</div>{links}</li>"
    )


def _seen(light: Light) -> str:
    if light.ran == 0:
        return ""
    return " (seen)" if light.ran == light.cells else f" (seen {light.ran} of {light.cells})"


def _light(light: Light) -> str:
    colours = (
        f"background:{FULL};color:{ON_FULL};border:1px solid {FULL};font-weight:bold"
        if light.ran
        else f"border:1px solid {EDGE}"
    )
    return (
        f'<li style="{_POINT}"><span style="{_BADGE};{colours}">{light.name}</span>'
        f"{_link(Link(light.words, light.target))}{_seen(light)}</li>"
    )
