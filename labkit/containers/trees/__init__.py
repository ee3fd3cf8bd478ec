"""Reading and writing a container's files from outside: `cp`, `export`, `diff`, copy-up.

A path in a container means what it means *inside*, and its files are a stranger's.  So each such
job is done by a short-lived process of its own (`worker`), which first makes the container's files
its root (`views`) and imports nothing from then on.  `launch` is the daemon's side of it.
"""
