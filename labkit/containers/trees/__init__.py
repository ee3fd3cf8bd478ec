"""Reading and writing a container's files from outside: `cp`, `export`, `diff`, copy-up.

A path in a container must be resolved *inside* the container, and its files are not trusted.  So a
short-lived process does each such job (`worker`).  It first makes the container's files its root
(`views`) and imports nothing after that.  `launch` is the daemon's side.
"""
