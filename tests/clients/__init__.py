"""The clients' own tests, against dockerd and against labkit, in numbers.

| part | what it is |
|---|---|
| `suites` | the suites: from which source distribution, and what each needs |
| `images` | a registry that serves images by the names that the suites want |
| `engines` | dockerd and labkit, each in a network namespace |
| `results` | reading what a run of pytest said, and comparing two |

`python -m tests.clients` (as root; `make test-clients`) downloads the source distributions by name,
runs their tests unchanged against both engines, and prints the counts and every test that passes
with dockerd and not with labkit.
"""
