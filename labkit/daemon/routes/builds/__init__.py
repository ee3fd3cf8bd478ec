"""Building images: Docker's classic endpoint, and BuildKit's.

| file | what it does |
|---|---|
| `classic` | `POST /build` of a Dockerfile in an archive: a stream of messages |
| `parameters`, `access` | the options of such a build, and its way to registries |
| `session` | what a classic build gets from its client's session |
| `by_request` | `POST /build?version=2`: BuildKit in the API of 2018 |
| `buildkit` | `POST /grpc` and `/session`: BuildKit of today; `service` makes the service |
"""
