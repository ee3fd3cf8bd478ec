"""A user namespace: root in a container with `--userns private`, seen from inside and outside.

The numbers are those of uid_map (user_namespaces(7)).  An ordinary container is compared with it,
and both try the same commands.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labkit.client import Client
from labkit.course.figures.table import Table
from labkit.course.namespaces.namespace_map import said_inside
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect

PLACE = "/host"
"""The path in both containers at which a folder of the host's root is mounted."""
NOBODY = "65534"
"""The kernel's number for a user that the table does not have (/proc/sys/kernel/overflowuid)."""
DEEDS: Mapping[str, str] = {
    "make a file in its own /": "touch /made",
    "set its own host name": "hostname another",
    "write into the folder of the host's root": f"touch {PLACE}/made",
    "make a device": "mknod /device c 1 3",
}
"""The commands that both try in a shell."""


@dataclass(frozen=True)
class OwnUsers:
    """The numbers from both sides, and the rights of root in each container."""

    uid_map: tuple[str, ...]
    """First number inside, first number outside, count."""
    numbers: tuple[tuple[str, str, str], ...]
    """(owner, seen from inside, seen from outside)."""
    deeds: tuple[tuple[str, str, str], ...]
    """(action, in an ordinary container, in one with a user namespace)."""

    @property
    def holds(self) -> bool:
        """Whether root inside is another user outside, with power only over its own namespaces."""
        first = self.uid_map[1]
        inside = ["0", "0", "0", "–", NOBODY]
        user, group, file, layer, folder = (row[2] for row in self.numbers)
        return (
            [row[1] for row in self.numbers] == inside
            and first == user == file != "0"
            and group != "0"
            and (layer, folder) == ("0", str(os.getuid()))
            and [row[1:] for row in self.deeds] == [("yes", "yes")] * 2 + [("yes", "refused")] * 2
        )

    def table(self) -> Table:
        """The same process, file and folder, seen from inside and from outside."""
        caption = f"/proc/self/uid_map: {' '.join(self.uid_map)}"
        return Table(("owner of the number", "inside", "outside"), self.numbers, caption)

    def power(self) -> Table:
        """The rights of root in an ordinary container, and in this one."""
        return Table(("may it …", "ordinary", "--userns private"), self.deeds)


def own_users(*, client: Client | None = None) -> OwnUsers:
    """Start both, try all commands, look at the files from outside, and remove both."""
    client = client or connect()
    with TemporaryDirectory() as folder, Crew(client, "own-users", lifetime_s=60) as crew:
        options: dict[str, Any] = {
            "volumes": {folder: {"bind": PLACE}},
            "cap_add": ["SYS_ADMIN"],  # to set a host name
        }
        ordinary = crew.hire_plain("ordinary", ["sleep", "60"], **options)
        private = crew.hire_plain("private", ["sleep", "60"], userns_mode="private", **options)
        tried = "; ".join(
            f"{deed} 2>/dev/null && echo yes || echo refused" for deed in DEEDS.values()
        )
        said = (said_inside(box, "sh", "-c", tried).split() for box in (ordinary, private))
        deeds = tuple(zip(DEEDS, *said, strict=True))
        private.reload()
        process = Path(f"/proc/{private.attrs['State']['Pid']}")
        status = process.joinpath("status").read_text()
        layer = private.attrs["GraphDriver"]["Data"]["UpperDir"]
        asked = f"id -u; id -g; stat -c %u /made; echo –; stat -c %u {PLACE}"
        inside = said_inside(private, "sh", "-c", asked).split()
        outside = (
            *(status.partition(f"\n{word}:")[2].split()[0] for word in ("Uid", "Gid")),
            *(_owner(path) for path in (process / "root/made", Path(layer, "made"), Path(folder))),
        )
        uid_map = tuple(said_inside(private, "cat", "/proc/self/uid_map").split())
    whose = (
        *("the process: its user", "the process: its group", "a file it has made"),
        *("that file, on the disk", "the folder of the host's root"),
    )
    return OwnUsers(uid_map, tuple(zip(whose, inside, outside, strict=True)), deeds)


def _owner(path: Path) -> str:
    return str(path.stat().st_uid)
