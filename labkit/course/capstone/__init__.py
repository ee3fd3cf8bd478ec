"""Chapter 13: `mini`, a container engine that the learner writes, and its judge.

| part | what it is |
|---|---|
| `given` | what mini's file imports: names, tables, the command line |
| `workshop` | the learner's file, and the pieces of labkit.kernel that each stage needs |
| `place`, `looks` | what a judge can do and look at |
| `stage_*` | a judge for each stage |
| `judging`, `card` | the judge's own process, and what the learner sees of it |
| `likeness`, `race` | mini beside labkit: the kernel's state, and the start |
"""
