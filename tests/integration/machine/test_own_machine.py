"""What a virtual machine of the lab's own has besides: swap, and the link at every login.

In a mount namespace with an /etc and a /var of its own.  `swapon` is a stand-in, since swap is the
whole machine's.
"""

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
pytestmark = pytest.mark.root

SWAP = "/var/swap.labkit"


class Machine:
    """An /etc and a /var, and a way to run the script with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        (self.etc / "profile.d").mkdir(parents=True)
        (folder / "var").mkdir()
        (folder / "bin").mkdir()
        self.fstab = self.etc / "fstab"
        self.fstab.write_text("LABEL=root / ext4 noatime 0 1\n")
        self.swap = folder / "var/swap.labkit"
        self.stub("swapon", f"echo $1 >> {folder}/swapped_on")

    def stub(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *words: str, check: bool = True, **environment: str) -> str:
        script = (
            f"mount --bind {self.etc} /etc && mount --bind {self.folder}/var /var &&"
            f' exec bash {PROJECT}/vagrant/machine.sh "$@"'
        )
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words],
            env=os.environ
            | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "LABKIT_SWAP": "2"}
            | {"LABKIT_STATE": f"{self.folder}/lab/state"}
            | environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def others_mib() -> int:
    """The swap this machine has, which the script would be content with."""
    lines = Path("/proc/swaps").read_text().splitlines()[1:]
    return sum(int(line.split()[2]) for line in lines) // 1024


def lines_of_swap(machine: Machine) -> list[str]:
    return [line for line in machine.fstab.read_text().splitlines() if line.startswith(SWAP)]


def test_swap_is_made_once_and_stays(machine: Machine) -> None:
    size_mib = others_mib() + 2
    assert "making" in machine.run("swap", LABKIT_SWAP=str(size_mib))
    made = machine.swap.stat()
    assert (made.st_size, made.st_mode & 0o777) == (size_mib << 20, 0o600)
    assert b"SWAPSPACE2" in machine.swap.read_bytes()[:65536]
    assert machine.run("swap", LABKIT_SWAP=str(size_mib)) == ""
    assert machine.swap.stat().st_ino == made.st_ino
    assert lines_of_swap(machine) == [f"{SWAP} none swap sw 0 0"]
    assert machine.fstab.read_text().startswith("LABEL=root / ext4")
    assert (machine.folder / "swapped_on").read_text().split() == [SWAP, SWAP]


def test_swap_of_another_size_replaces_it(machine: Machine) -> None:
    size_mib = others_mib() + 2
    machine.run("swap", LABKIT_SWAP=str(size_mib))
    machine.run("swap", LABKIT_SWAP=str(size_mib + 1))
    assert machine.swap.stat().st_size == (size_mib + 1) << 20
    assert len(lines_of_swap(machine)) == 1


def test_swap_that_was_cut_off_is_made_again(machine: Machine) -> None:
    """Killed while it writes: what is half made is not taken for the whole."""
    size_mib = others_mib() + 2
    machine.stub("mkswap", "kill -KILL $PPID")
    machine.run("swap", check=False, LABKIT_SWAP=str(size_mib))
    assert not machine.swap.exists()
    (machine.folder / "bin/mkswap").unlink()
    machine.run("swap", LABKIT_SWAP=str(size_mib))
    assert b"SWAPSPACE2" in machine.swap.read_bytes()[:65536]
    assert [path.name for path in machine.swap.parent.iterdir()] == [machine.swap.name]


def test_a_terminal_is_greeted_with_the_link(machine: Machine) -> None:
    machine.run("login")
    greeting = machine.etc / "profile.d/labkit.sh"
    link = machine.folder / "lab/link"

    def said(*, terminal: bool) -> str:
        command = ["sh", "-c", f". {greeting}"]
        if terminal:
            command = ["script", "--quiet", "--command", f"sh -c '. {greeting}'", "/dev/null"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert said(terminal=True) == ""
    link.parent.mkdir()
    link.write_text("http://127.0.0.1:8889/lab?token=1\n")
    assert said(terminal=True) == "labkit: the lab is open: http://127.0.0.1:8889/lab?token=1"
    assert said(terminal=False) == ""


def test_it_is_all_removed(machine: Machine) -> None:
    before = machine.fstab.read_text()
    machine.run("swap", LABKIT_SWAP=str(others_mib() + 2))
    machine.run("login")
    machine.run("remove")
    assert machine.fstab.read_text() == before
    assert not machine.swap.exists()
    assert list((machine.etc / "profile.d").iterdir()) == []
