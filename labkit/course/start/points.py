"""The sentences of the notes, N1 to N29, and the cells that show each of them.

`notebooks/README.md` names the same places by their headings; a test compares both.
"""

from typing import NamedTuple


class Point(NamedTuple):
    """A sentence of the notes, and its cells: chapter and cell, the most telling one first."""

    name: str
    words: str
    cells: tuple[tuple[str, str], ...]


def _point(number: int, words: str, cells: str) -> Point:
    pairs = (each.split(":") for each in cells.split())
    return Point(f"N{number}", words, tuple((chapter, cell) for chapter, cell in pairs))


_TABLE = (
    (
        "A container shares the host's kernel: smaller, faster",
        "01:race-run 01:whose-run 00:kernel-run",
    ),
    ("A client asks, a daemon works, a registry keeps images", "02:talk-run 02:registry-run"),
    ("Linux is a kernel and a root file system", "03:kernel-run 00:kernel-run"),
    ("An image is read-only layers", "03:stack-history"),
    ("A container adds one writable layer: copy-on-write", "03:own-picture"),
    ("Upper layers cover lower ones: a union file system", "03:deleted-picture 03:hood-without"),
    ("commit saves a container as a new image", "03:commit-run"),
    ("build runs instructions in temporary containers", "03:commit-run"),
    ("The build context is a folder; keep it small", "04:context-run"),
    ("Old layers are reused; above a changed one, none is", "04:cache-page"),
    ("A build in two stages", "05:sizes"),
    (
        "The instructions of a Dockerfile",
        "04:words-build 04:trap-stale 05:starts 05:archive 05:volume-rm 05:where-run 05:notes-run",
    ),
    ("The commands for images", "06:list-run 06:names-tag 06:push-run 06:pull-run"),
    ("exec starts a new process, attach joins the first", "07:doors-run"),
    ("CMD, ENTRYPOINT or the words of run: what starts", "05:starts 07:starts-run 07:front-tty"),
    ("A long id, a short id and a name for one container", "07:names-ask"),
    ("stop asks first, kill does not", "08:stop-run 08:machine-life"),
    ("pause, and a snapshot with export", "08:pause-run"),
    ("rm removes a container, rmi an image", "08:machine-rm"),
    ("The states, and which containers come back", "08:restart-run 08:machine-way"),
    ("A limit for memory, and one for memory and swap", "09:memory-run"),
    ("CPU shares, 2:1", "09:two-run 09:host-top"),
    ("Disk weights act on direct I/O, not on the cache", "09:disk-run"),
    ("So many bytes or operations a second", "09:rates-run"),
    (
        "A limit is a file, in a folder named by the container's id",
        "10:files-read 10:folders-walk 10:hand-run 09:file-read",
    ),
    (
        "Six kinds of namespaces isolate a container",
        "11:map-plot 11:mount-run 11:uts-run 11:ipc-run 11:pid-inside 11:first-run 11:net-run"
        " 11:user-run 11:rest-cgroup",
    ),
    ("Network mode none: a vault", "12:modes-none 12:vault-run"),
    ("Network mode host: fast, but ports collide", "12:modes-host 12:host-run"),
    (
        "Network mode bridge: containers talk to each other",
        "12:hand-bridge 12:engine-map 12:names-ask 12:way-places",
    ),
)

POINTS = tuple(_point(number, *row) for number, row in enumerate(_TABLE, 1))
