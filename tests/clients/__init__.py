"""The clients' own tests, against dockerd and against labkit, in numbers.

| part | what it is |
|---|---|
| `suites` | the suites: from which source distribution, and what each needs |
| `images` | a registry that serves images by the names that the suites want |
| `engines` | dockerd and labkit, each in a network namespace |
| `results` | reading the results of a run of pytest, and comparing two |
| `differences` | the reasons for the tests that pass with dockerd alone |
| `scripts` | scripts of users, with docker-py, aiodocker, python-on-whales, and others |

`python -m tests.clients` (as root; `make test-clients`) downloads the source distributions by name,
runs their tests unchanged against both engines, and prints the counts and every test that passes
with dockerd and not with labkit.

In November 2026, with dockerd 26.1 as the peer (passed, of those that ran):

| suite | dockerd | labkit |
|---|---|---|
| docker-py 7.0.0's tests, without swarms | 255 of 283 | 248 of 282 |
| aiodocker 0.27.0's tests | 168 of 210 | 165 of 209 |
| the scripts | 6 of 6 | 6 of 6 |
"""
