"""BuildKit's API: the protocol between today's build clients (`docker build`, buildx) and a daemon.

A client opens two connections.  On `POST /grpc` it calls the daemon: to solve a build, and to
report its progress.  On `POST /session` the daemon calls the *client*: for the Dockerfile, files, a
secret, the password for a registry.  So a build fetches only what it needs, when it needs it.

| module | what it does |
|---|---|
| `messages` | declares the messages of the protocol that labkit reads and writes |
| `sessions` | holds the connections on which the daemon calls clients |
| `control`, `bridge` | serve the two services that clients call |
| `jobs` | holds one build, from its beginning to its end, whichever call is first |
| `frontend` | turns a client's attributes into a build of `labkit.build` |
| `contexts` | fetches the files of a build from its client when they are needed |
| `receiving`, `sending` | transfer folders, in and out |
| `kept` | keeps the last context of each folder, so that unchanged files are not sent again |
| `progress`, `vertices` | report events, in the form of the client's terminal |
| `caches` | reads and writes caches in registries and in folders of the client |
| `history` | keeps the last builds, with their events |
| `checking`, `linting` | answer questions about a Dockerfile, without a build |
| `exporting` | exports the result: an image, a folder, an archive |
| `failures` | reports errors with the place in the Dockerfile |

The solver is `labkit.build`'s.  Sources: the protocol's files in github.com/moby/buildkit (`api/`,
`frontend/gateway/pb`, `session/`) and github.com/tonistiigi/fsutil, and recorded conversations of
docker 26 and 28 with dockerd.
"""
