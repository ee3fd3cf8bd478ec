"""A lab whose labkitd is an ordinary user's, in mounts where that user has subordinate ids.

with running_rootless_lab() as lab:
    assert lab.cli("run", "--rm", "busybox", "id", "-u").stdout == "0\n"
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.kernel.trails import remove_tree
from tests.lab import PROJECT, Lab
from tests.oracle import image_archive

UID = 65_000 + os.getpid() % 500
"""An id of no user of the machine, and of no other run of the tests."""
FIRST_ID, IDS = 300_000, 65_536
SETUP = """
mount --make-rprivate /
{way}
for file in subuid subgid passwd group; do
    [ ! -e /etc/$file ] || mount --bind {folder}/$file /etc/$file
done
if [ {tun} = open ]; then
    mkdir -p /dev/net && mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200
elif [ -e /dev/net/tun ]; then
    mount -t tmpfs tmpfs /dev/net
fi
exec setpriv --reuid {uid} --regid {uid} --clear-groups "$@"
"""


def way_to_project(folder: str) -> str:
    """Return commands for a mount namespace in which users reach the project.

    The project may be in a folder that is closed to them, as root's home is: that one is then
    covered, and shows only the way to the project.  `folder` has room for a mount point.
    """
    above = [*reversed(PROJECT.parents)]
    closed = next((each for each in above if not os.stat(each).st_mode & 0o001), None)
    if closed is None:
        return ""
    place = f"{folder}/project"
    return (
        f"mkdir -p {place} && mount --bind {PROJECT} {place} && "
        f"mount -t tmpfs -o mode=755 tmpfs {closed} && "
        f"mkdir -p {PROJECT} && mount --bind {place} {PROJECT}"
    )


class RootlessLab(Lab):
    """`ids`: the lines of /etc/subuid and /etc/subgid; `with_tun`: whether tap devices are open."""

    def __init__(self, ids: str = f"{UID}:{FIRST_ID}:{IDS}\n", *, with_tun: bool = True) -> None:
        super().__init__()
        remove_tree(self.root)
        os.mkdir(self.root)
        os.mkdir(self.run)
        for name in ("subuid", "subgid"):
            Path(self.folder, name).write_text(ids)
        # With the group that `make lab` makes for root's engine: this user is not in it.
        for name, lines in (
            ("passwd", f"learner:x:{UID}:{UID}::/:/bin/sh\n"),
            ("group", f"learner:x:{UID}:\nlabkit:x:{UID - 1}:\n"),
        ):
            Path(self.folder, name).write_text(Path("/etc", name).read_text() + lines)
        os.chmod(self.folder, 0o711)
        for path in (self.root, self.run):
            os.chown(path, UID, UID)
            os.chmod(path, 0o700)
        self.env |= {"HOME": self.root, "XDG_RUNTIME_DIR": self.run}
        values = {
            "folder": self.folder,
            "way": way_to_project(self.folder),
            "tun": "open" if with_tun else "shut",
            "uid": UID,
        }
        self.enter = ["unshare", "--mount", "sh", "-c", SETUP.format(**values), "sh"]

    def load(self) -> None:
        """Load the busybox image."""
        archive = Path(self.folder, "busybox.tar")
        archive.write_bytes(image_archive())
        self.cli("load", "-i", str(archive), check=True)
        archive.unlink()

    def argv(self, *args: str) -> list[str]:
        """Return the command as its user types it: it may have to start labkitd."""
        return [*self.enter, *super().argv(*args)]


@contextmanager
def running_rootless_lab(**options: object) -> Iterator[RootlessLab]:
    """A lab with its daemon running and the image loaded, closed at the end."""
    lab = RootlessLab(**options)  # type: ignore[arg-type]
    try:
        lab.start_daemon()
        lab.load()
        yield lab
    finally:
        lab.close()
