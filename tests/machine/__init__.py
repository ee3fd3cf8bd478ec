"""A throw-away machine with cgroup v2, for the tests that depend on the kernel.

`python -m tests.machine 'COMMAND'` boots QEMU with the distribution's own kernel and this machine's
root folder, runs the command in the current folder, and returns its output and exit status.  Most
of the tests ask the kernel, and the kernel one happens to have may still mount cgroup v1; here they
can ask another.

| part | what it does |
|---|---|
| `kernels` | finds an installed kernel, and the modules the guest needs, in order |
| `archive` | writes the initramfs: busybox, those modules, the guest's two scripts and the job |
| `qemu` | the machine itself, as a command line |
| `session` | starts it, copies what comes out, watches the time, leaves nothing behind |
| `guest/init` | pid 1 until there is a root: modules, this machine's files, a writable layer |
| `guest/job` | pid 1 from then on: mounts, cgroup v2, the scratch disk, the command, power off |

The root is this machine's, read-only through 9p, under an overlay whose upper layer is memory: the
guest sees every file here and changes none.  Because an overlay cannot be stacked on that overlay's
files, `/scratch` is an ext4 disk; `TMPDIR` and `/var/lib/labkit` lie on it.  There is no network
but the loopback, and no systemd.
"""
