"""The lab disk: a small disk with a file system and the BFQ scheduler, to try limits on.

It is a file on a loop device, or a spare disk of the machine, so no experiment touches a disk that
is in use:

    with labdisk.borrow(paths) as disk:
        disk.device, disk.mount     # /dev/loop0, /run/labkit/lab-disk

| part | what it does |
|---|---|
| `disk` | makes, finds and removes it, also after an interruption |
| `record` | holds what must be undone |
| `spare` | refuses a disk of the machine that holds any data |
| `scheduler` | reads and sets a disk's scheduler |
"""

from labkit.labdisk.disk import DEFAULT_BYTES, LabDisk, borrow, find, make, remove

__all__ = ["DEFAULT_BYTES", "LabDisk", "borrow", "find", "make", "remove"]
