"""Grading: each submission runs in a throw-away engine, and a judge outside of it looks.

| part | what it does |
|---|---|
| `collecting` | which student each file belongs to |
| `handed_in` | the notebook, which may be anything |
| `limits`, `clock` | what a submission may use, and how its time is counted |
| `groups` | its control groups: the limits belong to root, the rest to the submission |
| `tree` | its files: a small disk, and this machine's programs, read-only |
| `birth`, `sandbox` | its namespaces, and the first process in them (`keeper`) |
| `locks` | which process is its engine |
| `kernel` | Jupyter's way to a kernel in there |
| `cells` | which cell belongs to which exercise |
| `judging`, `judge` | the process that looks, outside of the submission's power |
| `submission` | one notebook, from its first cell to its result |
| `one` | its process, and what is swept away after it |
| `classroom` | all of them: several at once, and again after a crash |
| `cluster` | the same on the workers of a Dask cluster |
| `report`, `feedback` | the CSV, the JSON, the page for the learner |
"""
