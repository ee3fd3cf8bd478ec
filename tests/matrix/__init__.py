"""The matrix: the same commands said to Docker and to labkit, by every client, and compared.

| part | what it is |
|---|---|
| `cases.txt` | the commands, as data |
| `cases` | reading them |
| `images` | a registry with the images that some of them want |
| `speakers` | who says them: docker, labkit, docker-py; and to whom |
| `docker_py` | a command line said through docker-py |
| `conversation` | saying all cases, several at a time |
| `answers` | what came back, without what differs from one run to the next |
| `differences` | where labkit answers otherwise than dockerd 26.1, and why; where 20.10 did |
| `recorded.json` | what dockerd 20.10 and 26.1 answered, for machines where they do not run |

`python -m tests.matrix` (as root) prints how the speakers' answers differ from Docker's, and with
`--record` writes `recorded.json` again.
"""
