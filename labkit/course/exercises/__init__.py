"""Exercises whose judge is the kernel.

    from labkit.course.exercises import check, task

    task("09.1")       # what is to be done, with the learner's own values
    …                  # commands, Python, a terminal: any way is fine
    check("09.1")      # what the kernel says, and a hint

| part | what it is |
|---|---|
| `exercise` | what an exercise consists of: drawn values, scene, judge |
| `drawing` | values of a learner's own |
| `place`, `processes` | what a judge can look at |
| `looks.trials`, `looks.contexts`, `looks.engines` | what it runs, builds and asks by itself |
| `looks.folders`, `looks.images` | what a scene lays for the learner |
| `finding`, `hints` | what it has found, and how that becomes a hint |
| `check`, `card`, `page` | the learner's side |
| `ex00` to `ex12` | the exercises |
"""

from labkit.course.exercises.page import check, finish, task

__all__ = ["check", "finish", "task"]
