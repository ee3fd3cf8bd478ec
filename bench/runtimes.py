"""crun and runc: the programs that engines start for each container, here without an engine."""

import contextlib
import json
import os
from collections.abc import Iterator

from bench import rootfs
from bench.peer import MissingPeerError, command, spawn_and_wait
from bench.rooms import Room
from bench.systems import newest

HYBRID_REFUSED = "hybrid mode not supported"
HUGETLB = "/sys/fs/cgroup/hugetlb"


class Runtime:
    """A low-level runtime and a bundle: the root, and the runtime's own default specification.

    That specification has five new namespaces and masked paths, but no cgroup namespace, overlay,
    seccomp filter, log or limits.
    """

    def __init__(self, program: str, tar: str) -> None:
        self.name = f"{program} run"
        self._program = program
        self._tar = tar
        self._argv: list[str] = []
        self._environment = {"PATH": os.environ["PATH"]}
        self._room = Room(newest())

    def setup(self, folder: str) -> None:
        program = self._room.system.find(self._program)
        if program is None:
            raise MissingPeerError(f"{self._program} is not installed")
        bundle = f"{folder}/bundle"
        os.makedirs(bundle)
        rootfs.unpack(self._tar, f"{bundle}/rootfs")
        options = ["--root", f"{folder}/state"]
        self._room.open()
        self._room.do(command, [program, *options, "spec", "--bundle", bundle])
        with open(f"{bundle}/config.json") as file:
            spec = json.load(file)
        spec["process"]["args"] = ["true"]
        spec["process"]["terminal"] = False
        with open(f"{bundle}/config.json", "w") as file:
            json.dump(spec, file)
        container = f"labkit-bench-{self._program}-{os.getpid()}"
        self._argv = [program, *options, "run", "--bundle", bundle, container]
        self._room.do(command, self._argv, self._environment)

    def prepare(self) -> None:
        """Do nothing."""

    def run_once(self) -> None:
        status = self._room.do(spawn_and_wait, self._argv, self._environment)
        if status:
            raise MissingPeerError(f"{self._program} run ended with status {status}")

    def clean_up(self) -> None:
        """Do nothing: the container is already removed."""

    def teardown(self) -> None:
        """Close the room."""
        self._room.close()


@contextlib.contextmanager
def accepted_cgroups(tar: str, folder: str) -> Iterator[str]:
    """Give crun a cgroup layout that it accepts, during the block; yield the change.

    crun refuses a hybrid layout with a controller in the v2 tree.  If that is hugetlb, which
    nothing here uses, mounting it as v1 is enough.  Nothing is changed if crun is missing, or
    accepts the layout.
    """
    crun = Runtime("crun", tar)
    try:
        crun.setup(folder)
        refused = False
    except MissingPeerError as error:
        refused = HYBRID_REFUSED in str(error)
    finally:
        crun.teardown()
    if not refused or os.path.ismount(HUGETLB):
        yield ""
        return
    had_folder = os.path.isdir(HUGETLB)
    os.makedirs(HUGETLB, exist_ok=True)
    command(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", HUGETLB])
    try:
        yield "the hugetlb controller was mounted as cgroup v1 for it, since crun requires that"
    finally:
        _remove_groups(HUGETLB)
        command(["umount", HUGETLB])
        if not had_folder:
            os.rmdir(HUGETLB)


def _remove_groups(hierarchy: str) -> None:
    """Remove the peers' groups: a hierarchy with groups would stay."""
    for folder, _, _ in os.walk(hierarchy, topdown=False):
        if folder != hierarchy:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
