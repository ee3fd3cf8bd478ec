"""BuildKit's API: how today's build clients (`docker build`, buildx, compose) talk to a daemon.

A client opens two connections.  On `POST /grpc` it calls the daemon: solve this, tell me how it
goes.  On `POST /session` the daemon calls the *client*: give me the Dockerfile, these files, that
secret, the password for this registry.  So a build fetches only what it needs, when it needs it.

| module | what it does |
|---|---|
| `messages` | the messages of the protocol, as far as labkit reads and writes them |
| `sessions` | the connections on which the daemon calls clients |
| `control`, `bridge` | the two services that clients call |
| `jobs` | one build, from its beginning to its end, whichever call comes first |
| `frontend` | from a client's attributes to a build of `labkit.build` |
| `contexts` | what a build copies from, fetched from its client when it is needed |
| `receiving`, `sending` | folders over the wire, in and out |
| `kept` | the last context of each folder, so that unchanged files are not sent again |
| `progress`, `vertices` | what happens, as the client's terminal shows it |
| `exporting` | what becomes of the result: an image, a folder, an archive |
| `failures` | errors with the place in the Dockerfile |

The solver is `labkit.build`'s.  Sources: the protocol's files in github.com/moby/buildkit (`api/`,
`frontend/gateway/pb`, `session/`) and github.com/tonistiigi/fsutil, and recorded conversations of
docker 26 and 28 with dockerd.
"""
