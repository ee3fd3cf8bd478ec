"""Operations on user namespaces: the container's root is an unprivileged user on the host.

The order is what makes it work, found by trying (Linux 6.18; overlay over ext4):

- Entering the namespace gives up all power over the host, so it is last, after every mount.
  Network, UTS and IPC namespaces must *belong* to the user namespace, else the container's root
  would have no power over its own interfaces.  So a process forked for this makes them together
  with it, and the container's process enters them from outside.
- overlayfs itself cannot be id-mapped (EINVAL); its layers can.  One id-mapped mount of the data
  root, over the data root in the container's mount namespace, serves all of them, and volumes and
  the files in /etc.  No file is copied or changed on the disk: there the container's root is 0, as
  in a container without a user namespace.
- overlayfs writes as the user that mounted it, and the host's root has no number in an id-mapped
  upper layer: the union would be read-only.  So the mounting is done with the file system ids of
  the container's root (setfsuid(2)), which then owns what is made on the way: /dev, its terminals.
- The host keeps the PID namespace: mounting its /proc needs power over it.
- The host keeps the mount namespace, too, unless the container's root keeps CAP_SYS_ADMIN to mount.
  Then it gets its own at the very end: a copy in which each earlier mount is locked (umount fails
  with EINVAL for every process).
"""

import os
import stat
from typing import NamedTuple

from labkit.kernel import namespaces, trees, user_namespaces
from labkit.runtime.operations.context import Context

IdRanges = tuple[tuple[int, int, int], ...]


class MakeUserNamespace(NamedTuple):
    """Make a user namespace, and others that belong to it.  The shim does it."""

    uids: IdRanges
    """Triples: the first id inside, the first outside, how many."""
    gids: IdRanges
    others: int
    """The flags of the namespaces made with it."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        flags = self.others | namespaces.CLONE_NEWUSER
        names = [name for flag, name in namespaces.FLAG_NAMES.items() if flags & flag]
        maps = ", ".join(
            f'write("{name}", "{"; ".join(" ".join(map(str, line)) for line in ranges)}")'
            for name, ranges in (("uid_map", self.uids), ("gid_map", self.gids))
        )
        return f"unshare({'|'.join(names)}) in a child; {maps}"

    def execute(self, context: Context) -> None:
        """Make them, and hold them open."""
        context.owned.update(user_namespaces.make(self.uids, self.gids, self.others))


class ActAs(NamedTuple):
    """Make files as the container's root, but keep the host's power."""

    uid: int
    gid: int

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        return (
            f"prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP); setfsgid({self.gid}); "
            f"setfsuid({self.uid})"
        )

    def execute(self, context: Context) -> None:
        """Set the ids that own new files."""
        user_namespaces.act_as(self.uid, self.gid)


class EnterOwned(NamedTuple):
    """Enter a namespace that was made together with the user namespace, and belongs to it."""

    flag: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"setns(…, {namespaces.FLAG_NAMES[self.flag]})"

    def execute(self, context: Context) -> None:
        """Enter it."""
        namespaces.setns(context.owned[self.flag], self.flag)


class MapIds(NamedTuple):
    """Mount a folder over itself, with its files' owners mapped."""

    folder: str

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        return (
            f'open_tree(AT_FDCWD, "{self.folder}", OPEN_TREE_CLONE|AT_RECURSIVE); '
            "mount_setattr(…, MOUNT_ATTR_IDMAP, userns_fd); "
            f'move_mount(…, "{self.folder}")'
        )

    def execute(self, context: Context) -> None:
        """Do it for this mount namespace only; EINVAL if the file system cannot."""
        place = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree = trees.clone_tree(place)
            try:
                trees.map_ids(tree, context.owned[namespaces.CLONE_NEWUSER])
                trees.attach(tree, place)
            finally:
                os.close(tree)
        finally:
            os.close(place)


class EnterUserNamespace(NamedTuple):
    """Give up all power over the host, and be root in the container's user namespace."""

    uid: int
    gid: int
    """The group of its root on the host."""

    def call(self) -> str:
        """The calls as a C programmer would write them."""
        return "setns(…, CLONE_NEWUSER); setgroups(0); setresgid(0, 0, 0); setresuid(0, 0, 0)"

    def execute(self, context: Context) -> None:
        """Enter the namespace made for it, or that of the container's first process."""
        for fd in (0, 1, 2):
            # The pipes belong to the host's root, and inside their owner cannot be changed.
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.fchown(fd, self.uid, self.gid)
        user_namespaces.enter(context.owned.get(namespaces.CLONE_NEWUSER, context.first_pidfd))
