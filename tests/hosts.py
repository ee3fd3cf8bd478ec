"""A host for one test: a network with its own firewall rules and kernel parameters.

The host is between two neighbours, LAN 1 and LAN 2.

labkitd runs in it, and other programs with rules for packets: Docker, ufw, firewalld.  The kernel
separates rules and the parameters below /proc/sys/net by network namespace, so the machine's own
are not touched.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.lab import Lab


class Neighbour(NamedTuple):
    """A host at the other end of one of the cables."""

    pid: int
    """A process in its network."""
    address: str
    address_6: str
    host_address: str
    """The host's own at its end of the cable."""
    host_address_6: str


class Host:
    """The host in the middle."""

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()
        self.pid = self._namespace()
        self.env: dict[str, str] = {}
        """The environment for programs that act on this host."""
        # A new network copies the values of this machine (ip-sysctl.rst).
        for version in (4, 6):
            self.set_sysctl(f"net/ipv{version}/conf/all/forwarding", "0")
        self.run("ip", "link", "set", "lo", "up")
        self.lans = [self._neighbour(number) for number in (1, 2)]

    def _namespace(self) -> int:
        holder = self._ends.enter_context(
            subprocess.Popen(
                ["unshare", "-n", "sh", "-c", "echo; exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        self._ends.callback(holder.kill)
        assert holder.stdout is not None
        holder.stdout.readline()  # it has its own network
        return holder.pid

    def _neighbour(self, number: int) -> Neighbour:
        lan = Neighbour(
            self._namespace(),
            f"198.18.{number}.2",
            f"fd98:0:0:{number}::2",
            f"198.18.{number}.1",
            f"fd98:0:0:{number}::1",
        )
        link = f"eth{number - 1}"
        peer = ("peer", "name", "eth0", "netns", str(lan.pid))
        self.run("ip", "link", "add", link, "type", "veth", *peer)
        ends = (
            (self.pid, link, lan.host_address, lan.host_address_6),
            (lan.pid, "eth0", *lan[1:3]),
        )
        for pid, name, address, address_6 in ends:
            inside(pid, "ip", "address", "add", f"{address}/24", "dev", name)
            inside(pid, "ip", "address", "add", f"{address_6}/64", "dev", name, "nodad")
            inside(pid, "ip", "link", "set", name, "up")
        inside(lan.pid, "ip", "link", "set", "lo", "up")
        inside(lan.pid, "ip", "route", "add", "default", "via", lan.host_address)
        inside(lan.pid, "ip", "-6", "route", "add", "default", "via", lan.host_address_6)
        return lan

    def enter(self) -> list[str]:
        """Return the command that runs another one in this host's network."""
        return enter(self.pid)

    def run(self, *command: str, given: str = "") -> str:
        """Run a command in its network; return its output."""
        return inside(self.pid, *command, given=given)

    def sysctl(self, name: str) -> str:
        """Return a kernel parameter of its network, such as `net/ipv4/ip_forward`."""
        return self.run("cat", f"/proc/sys/{name}").strip()

    def set_sysctl(self, name: str, value: str) -> None:
        """Set a parameter, as an administrator would."""
        self.run("sh", "-c", f"echo {value} > /proc/sys/{name}")

    def rules(self) -> str:
        """Return every rule of every table and kind, without counters."""
        shown = [self.run("nft", "list", "ruleset")]
        for version in ("", "6"):
            names = self.run("cat", f"/proc/net/ip{version}_tables_names").split()
            shown += [self.run(f"ip{version}tables-legacy-save", "-t", name) for name in names]
        lines = (line for text in shown for line in text.splitlines() if line[:1] != "#")
        return re.sub(r"\[\d+:\d+\]|packets \d+ bytes \d+", "", "\n".join(lines))

    def close(self) -> None:
        """End the processes in it; its network vanishes with them."""
        self._ends.close()


def enter(pid: int) -> list[str]:
    """Return the command that runs another one in the network of a process."""
    return ["nsenter", "-t", str(pid), "-n"]


def inside(pid: int, *command: str, given: str = "") -> str:
    """Run a command in the network of a process; return its output."""
    done = subprocess.run(
        [*enter(pid), *command], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def running_host() -> Iterator[Host]:
    """A host during the block."""
    with contextlib.closing(Host()) as host:
        yield host


@contextlib.contextmanager
def running_lab_on(host: Host) -> Iterator[Lab]:
    """A lab whose labkitd runs on this host, closed at the end."""
    lab = Lab()
    lab.enter = host.enter()
    lab.env |= host.env
    try:
        lab.start_daemon()
        yield lab
    finally:
        lab.close()


def undo(host: Host, lab: Lab) -> None:
    """Undo the changes to the host's network, as `make clean` does."""
    done = subprocess.run(
        [*host.enter(), sys.executable, "-P", "-m", "labkit.networks.undoing"],
        env=lab.env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
