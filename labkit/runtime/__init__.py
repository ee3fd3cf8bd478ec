"""Starting one container: the plan as data, its executor, the spawner and the shim.

`plan` computes a list of small operations (`operations/`); that opens nothing and needs no root.
The `spawner`, a warm single-threaded process, forks a `shim` for each container.  The shim clones
the container's first process.  In it the `executor` runs the plan, one operation after another,
until the last one replaces the program by the container's own.
"""
