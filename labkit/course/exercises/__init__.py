"""Exercises whose judge is the kernel.

    from labkit.course.exercises import check, task

    task("09.1")       # the statement, with the learner's own values
    …                  # commands, Python, a terminal: any way is fine
    check("09.1")      # the kernel's answer, and a hint

| part | what it is |
|---|---|
| `exercise` | what an exercise consists of: drawn values, scene, judge |
| `drawing` | values that differ between learners |
| `place`, `processes` | the things that a judge can look at |
| `looks.clock` | time of which a busy machine takes none away |
| `looks.trials`, `looks.contexts`, `looks.engines` | a judge's own runs, builds and questions |
| `looks.folders`, `looks.images` | the files and images that a scene lays |
| `finding`, `hints` | a judge's findings, and the hints made from them |
| `check`, `card`, `page` | the learner's side |
| `ex00` to `ex12` | the exercises |
"""

from labkit.course.exercises.page import check, finish, task

__all__ = ["check", "finish", "task"]
