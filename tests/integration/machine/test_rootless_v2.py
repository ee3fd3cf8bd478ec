"""cgroup v2 without root: in groups as systemd gives them to a user, scope beside scope."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import wait_until
from tests.rootless import UID, RootlessLab

TOP = Path("/sys/fs/cgroup")
needs_v2 = pytest.mark.skipif(not (TOP / "cgroup.controllers").exists(), reason="needs cgroup v2")
pytestmark = [pytest.mark.root, pytest.mark.timeout(240), needs_v2]

GIVEN = ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def give(folder: Path) -> None:
    """Make a group that is the user's, as systemd does with `Delegate=yes`."""
    folder.mkdir()
    for name in GIVEN:
        os.chown(folder / name, UID, UID)


class Scopes(RootlessLab):
    """A lab in a user's slice with the controllers memory and pids; `scope` is where it starts."""

    def __init__(self) -> None:
        super().__init__()
        self.slice = TOP / f"slice-of-{UID}"
        for folder in (TOP, self.slice):
            if folder is self.slice:
                give(folder)
            (folder / "cgroup.subtree_control").write_text("+memory +pids")
        self._usual = self.enter

    def start_in(self, scope: str) -> None:
        folder = self.slice / scope
        if not folder.exists():
            give(folder)
        words = ["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"]
        self.enter = [*words, *self._usual]
        self.start_daemon()
        self.enter = self._usual

    def groups(self, name: str) -> list[Path]:
        return list(self.slice.glob(f"**/{name}"))

    def _left(self) -> list[str]:
        """A group that labkitd has put itself in ends with its scope, by systemd."""
        return [line for line in super()._left() if not line.endswith(f"{self.cgroup_parent}d")]

    def end(self) -> None:
        self.close()
        for folder in sorted(self.slice.glob("**/"), key=lambda path: -len(path.parts)):
            folder.rmdir()


@pytest.fixture
def scopes() -> Iterator[Scopes]:
    lab = Scopes()
    yield lab
    lab.start_in("last")
    lab.end()


def out(lab: RootlessLab, *words: str) -> str:
    done = lab.cli(*words)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return str(done.stdout)


def test_a_labkitd_of_another_scope_finds_the_groups_of_its_containers(scopes: Scopes) -> None:
    scopes.start_in("first.scope")
    scopes.load()
    sleep = ("busybox", "sleep", "600")
    name = out(
        scopes, "run", "-d", "--network", "none", "-m", "64m", "--pids-limit", "20", *sleep
    ).strip()
    (group,) = scopes.groups(name)
    assert group.is_relative_to(scopes.slice / "first.scope")
    assert (group / "memory.max").read_text() == f"{64 << 20}\n"
    for end in (scopes.kill_daemon, scopes.stop_daemon):
        end()
        scopes.start_in("second.scope")
        out(scopes, "pause", name)
        assert "(Paused)" in out(scopes, "ps")
        out(scopes, "unpause", name)
        out(scopes, "update", "-m", "32m", name)
        assert (group / "memory.max").read_text() == f"{32 << 20}\n"
        assert "32MiB" in out(scopes, "stats", "--no-stream", name)
        other = out(scopes, "run", "-d", "--network", "none", "-m", "16m", *sleep).strip()
        (beside,) = scopes.groups(other)
        assert beside.parent == group.parent
        out(scopes, "rm", "-f", other)
    out(scopes, "rm", "-f", name)
    assert scopes.groups(name) == []


def test_without_containers_a_labkitd_stays_in_its_own_scope(scopes: Scopes) -> None:
    scopes.start_in("first.scope")
    scopes.load()
    scopes.stop_daemon()
    wait_until(lambda: not os.path.exists(f"{scopes.run}/holder.sock"), timeout_s=10)
    scopes.start_in("second.scope")
    name = out(
        scopes, "run", "-d", "--network", "none", "-m", "64m", "busybox", "sleep", "600"
    ).strip()
    (group,) = scopes.groups(name)
    assert group.is_relative_to(scopes.slice / "second.scope")
