"""How fast labkit is, measured beside its peers on one machine in one run.

`python -m bench` (or `make bench`, as root) measures

- **a container, in process**: create + start + wait + remove of `true` through labkit's API on one
  kept connection, against `crun run` and `runc run` of a prepared bundle;
- **a container, by command**: `labkit run --rm` against `docker run --rm` and `podman run --rm`;
- **another process in a running container** (`exec`), through the API and by command;
- **many at once**: fifty containers started through the API by fifty clients;
- **images**: builds, cached and run; push, pull, load and commit of 100 MB;
- **networks**: `run --rm` on the default bridge, and how fast data goes there (iperf3);
- **memory**: what an idle container's shim takes, and the daemons;
- **the start's steps**: where the time goes, from `labkit run --explain=json`.

Runs are interleaved (A B C, B C A, …), so that whatever else the machine does meets all alike; what
counts is the median, and for a ratio of two medians the interval that bootstrapping the rounds
gives.  No peer is needed: one that is not installed, or does not work here, is said to be missing.
Everything lives in a temporary folder; nothing is left behind, also after ctrl-C.

| part | what it does |
|---|---|
| `peer` | what a peer is; running a command and knowing when it has ended |
| `rootfs` | the busybox root that every peer runs |
| `systems` | the systems whose programs are the peers |
| `rooms` | the namespaces they run in |
| `runtimes` | crun, runc |
| `engines` | docker, podman, labkit's command |
| `dockerd` | a dockerd with a folder and a room of its own |
| `api` | labkit's API |
| `engine_api` | the API of labkitd and dockerd, by the same client |
| `running` | exec, and many starts at once |
| `building` | builds, cached and run |
| `exchange` | push, pull, load, commit |
| `registry` | the registry that is pushed to |
| `networking` | bridges: starts, and throughput |
| `timing` | the interleaved rounds |
| `statistics` | median, quartiles, ratio and its interval |
| `memory` | proportional set sizes from /proc |
| `steps` | the median of each step of a start |
| `machine` | what it was measured on |
| `report` | the tables, on the terminal and in RESULTS.md |
"""
