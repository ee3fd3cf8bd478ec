"""The page that a learner gets back: for each exercise what was expected, what was found, and why.

One file of HTML without scripts; all that comes from a submission is escaped.
"""

import html

from labkit.course.exercises.finding import Finding
from labkit.course.grading.result import Mark, Result

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1F2328; background: #FFFFFF;
       max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; margin: .6em 0 1.6em; }
th, td { text-align: left; vertical-align: top; padding: .35em .6em;
         border-bottom: 1px solid #E4E7EB; overflow-wrap: anywhere; }
th { width: 14%; } th:first-child { width: 20%; } th:nth-child(4) { width: 4.5em; }
th:last-child { width: auto; }
.met { border-left: 6px solid #2A9287; } .not { border-left: 6px solid #DB9A1E; }
.fault { border-left: 6px solid #AD2F55; padding: .4em .8em; }
.note { color: #656D76; }
"""


def page(result: Result) -> str:
    """The page for one submission."""
    text = html.escape
    title = f"{result.assignment}: {result.score} of {result.max_score} points"
    notes = "".join(f'<p class="note">{text(note)}</p>' for note in result.notes)
    parts = "".join(map(_mark, result.marks))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{text(title)}</h1>"
        f"<p>{text(result.student)}, graded {text(result.timestamp)} UTC</p>{notes}{parts}"
        "</body></html>\n"
    )


def _mark(mark: Mark) -> str:
    heading = f"{mark.number} {mark.title}: {mark.points} of {mark.of} points".strip()
    said = f"<h2>{html.escape(heading)}</h2>"
    if mark.fault:
        fault = "The machine could not judge this; it is not your fault, and is graded again"
        return f'{said}<p class="fault">{fault}: {html.escape(mark.fault)}</p>'
    if mark.note:
        said += f'<p class="note">{html.escape(mark.note[0].upper() + mark.note[1:])}.</p>'
    if not mark.findings:
        return said
    head = "<tr><th>what</th><th>expected</th><th>found</th><th>points</th><th>why</th></tr>"
    return f"{said}<table>{head}{''.join(map(_finding, mark.findings))}</table>"


def _finding(finding: Finding) -> str:
    lesson = finding.lesson
    why = "" if finding.is_met else f"{lesson.idea} See {lesson.section}; look at {lesson.tool}."
    cells = (finding.what, finding.expected, finding.found)
    columns = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    points = f"{finding.earned} of {finding.points}"
    kind = "met" if finding.is_met else "not"
    return f'<tr class="{kind}">{columns}<td>{points}</td><td>{html.escape(why)}</td></tr>'
