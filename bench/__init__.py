"""The speed of labkit, measured beside its peers on one machine in one run.

`python -m bench` (or `make bench`, as root) measures

- **a container, in process**: create + start + wait + remove of `true` through labkit's API on one
  kept connection, against `crun run` and `runc run` of a prepared bundle;
- **a container, by command**: `labkit run --rm` against `docker run --rm` and `podman run --rm`;
- **another process in a running container** (`exec`), through the API and by command;
- **many at once**: fifty containers started through the API by fifty clients;
- **images**: builds, cached and run; push, pull, load and commit of 100 MB;
- **networks**: `run --rm` on the default bridge, and the data rate there (iperf3);
- **memory**: that of an idle container's shim, and of the daemons;
- **the start's steps**: the time of each, from `labkit run --explain=json`.

Runs are interleaved (A B C, B C A, …), so that other load on the machine affects all alike.  The
result is the median, and for a ratio of two medians the interval from bootstrapping the rounds.  No
peer is needed: one that is not installed, or does not work here, is reported as missing.  All files
are in a temporary folder; nothing is left behind, even after ctrl-C.

| part | what it does |
|---|---|
| `peer` | defines a peer; runs a command and sees its end |
| `rootfs` | makes the busybox root that every peer runs |
| `systems` | finds the systems whose programs are the peers |
| `rooms` | makes the namespaces they run in |
| `runtimes` | runs crun and runc |
| `engines` | runs docker, podman, labkit's command |
| `dockerd` | runs a dockerd in its own folder and room |
| `api` | uses labkit's API |
| `engine_api` | uses the API of labkitd and dockerd, by the same client |
| `running` | measures exec, and many starts at once |
| `building` | measures builds, cached and run |
| `exchange` | measures push, pull, load, commit |
| `registry` | runs the registry for the pushes |
| `networking` | measures bridges: starts, and throughput |
| `timing` | runs the interleaved rounds |
| `statistics` | computes median, quartiles, ratio and its interval |
| `memory` | reads proportional set sizes from /proc |
| `steps` | computes the median of each step of a start |
| `machine` | describes the machine |
| `report` | writes the tables, on the terminal and in RESULTS.md |
"""
