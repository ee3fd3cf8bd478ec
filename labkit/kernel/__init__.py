"""Thin, flat wrappers of the Linux system calls labkit uses; no policy, every failure an `OSError`.

Each file is one subject of the kernel: `mounts`, `namespaces`, `capabilities`, `seccomp`,
`processes`, `loopback`, and `messages` for talking over Unix sockets.  The modules here are loaded
into the spawner, which forks for every container, so they import next to nothing.
"""
