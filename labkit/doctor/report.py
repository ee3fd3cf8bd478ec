"""The findings for people (a table) and for programs (JSON)."""

import json
import textwrap

from labkit.doctor.examination import can_run_containers
from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Finding

COLOURS = {OK: "32", LIMITED: "33", MISSING: "31", UNKNOWN: "36"}
"""SGR codes; the word says the same, for readers without colours."""
BOLD, DIM = "1", "2"

STATE_WIDTH = max(map(len, COLOURS))
WIDEST = 110
"""Longer lines are hard to read."""
NARROWEST = 28
"""A narrower column is too small for a sentence."""


def render(findings: list[Finding], width: int = 80, *, colour: bool = False) -> str:
    """The table, with lines of at most `width` columns (at least 40), and a verdict at its end."""
    width = max(40, min(width, WIDEST))
    name_width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += (
                ["", _styled(section, BOLD, colour)] if lines else [_styled(section, BOLD, colour)]
            )
        lines += _rows(finding, name_width, width, colour)
    return "\n".join([*lines, "", *_verdict(findings, width, colour)]) + "\n"


def to_json(findings: list[Finding]) -> str:
    """The findings as JSON, with the verdict."""
    shown = [
        {
            "Section": finding.section,
            "Name": finding.name,
            "State": finding.state,
            "Detail": finding.detail,
            "Remedy": finding.remedy,
            "Required": finding.required,
        }
        for finding in findings
    ]
    answer = {"CanRunContainers": can_run_containers(findings), "Findings": shown}
    return json.dumps(answer, indent=2, ensure_ascii=False)


def _rows(finding: Finding, name_width: int, width: int, colour: bool) -> list[str]:
    """State, name and detail side by side, the remedy below; if narrow, one below the other."""
    state = _styled(finding.state.ljust(STATE_WIDTH), COLOURS[finding.state], colour)
    head = f"  {state}  {finding.name.ljust(name_width)}  "
    margin = 2 + STATE_WIDTH + 2 + name_width + 2
    if width - margin < NARROWEST:
        margin = 2 + STATE_WIDTH + 2
        detail = [head.rstrip(), *_indented(finding.detail, margin, width)]
    else:
        first, *rest = _indented(finding.detail, margin, width)
        detail = [head + first.lstrip(), *rest]
    remedy = _indented(finding.remedy, margin + 2, width)
    if remedy:
        remedy[0] = f"{' ' * margin}→ {remedy[0].lstrip()}"
    return detail + [_styled(line, DIM, colour) for line in remedy]


def _indented(text: str, margin: int, width: int) -> list[str]:
    return [" " * margin + line for line in _wrap(text, width - margin)]


def _verdict(findings: list[Finding], width: int, colour: bool) -> list[str]:
    fatal = [f.name for f in findings if f.required and f.state == MISSING]
    if fatal:
        sentence = f"labkit cannot run containers here. It needs: {', '.join(fatal)}."
        return [_styled(line, COLOURS[MISSING], colour) for line in _wrap(sentence, width)]
    sentence = "labkit can run containers here."
    for state, verb in ((LIMITED, "limited"), (MISSING, "missing"), (UNKNOWN, "not known")):
        names = [finding.name for finding in findings if finding.state == state]
        if names:
            sentence += f" {verb.capitalize()}: {', '.join(names)}."
    return [_styled(line, BOLD, colour) for line in _wrap(sentence, width)]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _styled(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
