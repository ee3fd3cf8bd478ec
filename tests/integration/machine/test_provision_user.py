"""`make lab` by an ordinary user: the lab in folders of that user, and nothing of the machine."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.kernel.trails import remove_tree
from tests import leaks
from tests.lab import PROJECT
from tests.rootless import UID, RootlessLab

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

HIDE = 'mount --bind /dev/null /usr/bin/mmdebstrap; exec "$@"'
"""The image `debian` takes half a minute and a network; without it there is a lab all the same."""


class Home:
    """A user's home with a clone of the project, whose Python environment is there already."""

    def __init__(self, **options: object) -> None:
        self.lab = RootlessLab(**options)  # type: ignore[arg-type]
        self.home = Path(self.lab.folder, "a home")  # systemd and shells split words at blanks
        self.clone = Path(self.lab.folder, "clone")
        self.home.mkdir()
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port = chosen.getsockname()[1]
        names = {"LABKIT_ROOT", "LABKIT_RUN", "LABKIT_CGROUP_PARENT", "LABKIT_LINK_PREFIX"}
        # A user's `make` is the first one, whatever has started these tests.
        names |= {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
        self.env = {key: value for key, value in os.environ.items() if key not in names} | {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": self.lab.run,
            "PATH": f"{self.home}/.local/bin:/usr/bin:/bin",
            "LAB_PORT": str(self.port),
            "LAB_OPEN": "0",
        }
        self.enter = self.lab.enter

    def fill(self) -> None:
        """Clone the project, and make an environment that borrows this run's packages."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (PROJECT / name).exists():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(PROJECT / name, self.clone / name)
        venv = self.clone / ".venv"
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", venv], check=True)
        packages = next(venv.glob("lib/python*/site-packages"))
        (packages / "borrowed.pth").write_text(f"{self.clone}\n{sysconfig.get_path('purelib')}\n")
        pinned = [
            (self.clone / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")
        ]
        stamp = hashlib.sha256(b"".join([*pinned, f"{venv}\n".encode()])).hexdigest()
        (venv / "labkit.stamp").write_text(f"{stamp}  -\n")
        (venv / "share/labkit/boot").mkdir(parents=True)
        (venv / "share/labkit/boot/vmlinuz-none").touch()
        subprocess.run(["chown", "-R", f"{UID}:{UID}", self.home, self.clone], check=True)

    def run(self, *command: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in the clone."""
        return subprocess.run(
            [*self.enter, *command],
            cwd=self.clone,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def make(self, target: str) -> str:
        """What `make TARGET` says; it must succeed."""
        done = self.run("make", target)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def refusal(self, before: str) -> str:
        """What `make lab` says when it fails after root's `before`, with nothing done."""
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec"]
        self.enter = [*words, f'{before}\nexec "$@"', "sh", *self.lab.enter]
        before = self.files()
        done = self.run("make", "lab")
        assert done.returncode, done.stdout
        assert self.files() == before
        lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
        return "\n".join(lines)

    def files(self) -> list[str]:
        folders = (self.home, self.lab.run, self.clone)
        found = [str(path) for folder in folders for path in Path(folder).rglob("*")]
        return sorted(path for path in found if "__pycache__" not in path)

    def processes(self) -> list[str]:
        return [line for line in leaks.processes().values() if self.lab.folder in line]

    def close(self) -> None:
        try:
            if (self.clone / ".venv").exists():
                self.run("make", "clean")
        finally:
            remove_tree(self.lab.folder)


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    home.fill()
    yield home
    home.close()


def test_a_lab_without_root(home: Home) -> None:
    hide = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", HIDE, "sh"]
    home.enter = [*hide, *home.lab.enter]
    said = home.make("lab")
    assert "the lab has no image debian" in said
    link = said.splitlines()[-1].partition("the lab is open: ")[2]
    assert link.startswith(f"http://127.0.0.1:{home.port}/lab"), said
    pages = home.home / "labkit-course"
    assert f"your pages are in {pages}" in said
    kept = pages / "09_limits.ipynb"
    kept.write_text(kept.read_text().replace("limit", "my limit"))
    own = kept.read_bytes()
    with urllib.request.urlopen(f"http://127.0.0.1:{home.port}/api", timeout=20) as answer:
        assert "version" in json.load(answer)
    ran = home.run("labkit", "run", "--rm", "busybox", "id", "-u")
    assert (ran.returncode, ran.stdout) == (0, "0\n"), ran.stderr
    pid = Path(home.lab.run, "labkit/labkitd.pid").read_text()
    assert link in home.make("lab")
    assert Path(home.lab.run, "labkit/labkitd.pid").read_text() == pid

    script = "touch /v/f; chown 7:7 /v/f; exec sleep 600"
    run = ("labkit", "run", "-d", "-v", "kept:/v")
    running = home.run(*run, "busybox", "sh", "-c", script)
    assert running.returncode == 0, running.stderr
    home.make("stop")
    assert not home.run("labkit", "ps", "-q").stdout
    assert f"your own pages stay: {pages}" in home.make("clean")
    assert kept.read_bytes() == own
    left = [path for path in home.home.rglob("*") if not path.is_dir()]
    assert [path for path in left if not path.is_relative_to(pages)] == []
    assert not Path(home.home, ".local/share/labkit").exists()
    assert os.listdir(home.lab.run) == []
    assert not (home.clone / ".venv").exists()
    assert not (home.clone / ".lab").exists()
    assert home.processes() == []


OBSTACLES = {
    "a hidden part of /proc": ("mount -t tmpfs tmpfs /proc/sys", "systempaths=unconfined"),
    "a closed home": ("mount -t tmpfs -o mode=755 tmpfs '{home}'", "may not write in {home}"),
    "no way to /run": (
        "export XDG_RUNTIME_DIR=/run/user/none; mount -t tmpfs -o mode=755 tmpfs /run",
        "may not write in /run",
    ),
    "root's engine": (
        "mount -t tmpfs tmpfs /run; mkdir -m 755 /run/labkit; : > /run/labkit/labkit.sock; "
        "chmod 666 /run/labkit/labkit.sock",
        "make lab LABKIT_ROOT=",
    ),
    "no packages": (
        "mount -t tmpfs tmpfs /run; mkdir /run/dpkg; : > /run/dpkg/status; "
        "export DPKG_ADMINDIR=/run/dpkg",
        "sudo apt-get install -y --no-install-recommends busybox-static ",
    ),
}
"""What root does in mounts of the test's own, and what `make lab` then says."""


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_is_in_the_way_is_said_before_anything_is_made(home: Home, what: str) -> None:
    before, expected = OBSTACLES[what]
    said = home.refusal(before.format(home=home.home))
    assert expected.format(home=home.home) in said
    assert said.startswith("labkit: ")
    assert "command not found" not in said


def test_the_missing_packages_are_one_command(home: Home) -> None:
    before, _ = OBSTACLES["no packages"]
    (line,) = [line for line in home.refusal(before).splitlines() if "apt-get install" in line]
    named = line.partition("--no-install-recommends ")[2].split()
    assert {"python3-venv", "nftables", "uidmap"} <= set(named)


def test_what_an_engine_without_root_will_lack_is_said_first() -> None:
    lab = RootlessLab(ids="", with_tun=False)
    try:
        words = ("/usr/bin/python3", "-B", "-m", "labkit.doctor")
        done = subprocess.run(
            [*lab.enter, *words],
            cwd=PROJECT,
            env=lab.env,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        lab.close()
    ids, cable = done.stdout.splitlines()
    assert "tee -a /etc/subuid /etc/subgid" in ids
    assert "/dev/net/tun" in cable
