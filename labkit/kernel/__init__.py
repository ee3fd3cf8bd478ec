"""Thin wrappers of the Linux system calls that labkit uses; no policy, failures are `OSError`s.

Each file is one subject of the kernel: `mounts`, `namespaces`, `capabilities`, `seccomp`,
`processes`, and `messages` over Unix sockets.  The spawner, which forks for every container, loads
the modules here, so they import next to nothing.
"""
