"""Network namespaces without a container: empty rooms for cables laid by hand.

One sleeping process holds a room (unshare(1)).  The kernel ends that process together with its
maker (PR_SET_PDEATHSIG, prctl(2)).  It then removes the namespace, and every cable with an end in
it: nothing is left behind, even if the page's kernel is killed.
"""

import atexit
import os
import shlex
import subprocess
import time
from contextlib import suppress
from types import TracebackType

from labkit.course.networks import netlink
from labkit.errors import LabkitError

START_TIMEOUT_S = 60.0
OUTSIDE_LINK = "lab-outside"
OUTSIDE_GATEWAY, OUTSIDE_ADDRESS = "203.0.113.1", "203.0.113.2"
"""From a block for documentation only (RFC 5737): no machine has one of these addresses."""


_rooms: dict[str, "Room"] = {}


def remove_links(*names: str) -> None:
    """Remove the host's links with these names; one that does not exist is no error."""
    with netlink.host() as host:
        for name in names:
            for index in host.link_lookup(ifname=name):
                host.link("del", index=index)


class Room:
    """A new network namespace; at first it has only a loopback, which is off.

    `pid` is the process that holds it, by which pyroute2 and nsenter(1) name the namespace.  A room
    with a name replaces an older one with that name.
    """

    def __init__(self, name: str = "") -> None:
        if name in _rooms:
            _rooms.pop(name).close()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"],
            stdin=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        atexit.register(self.close)
        self._wait()
        if name:
            _rooms[name] = self

    @property
    def path(self) -> str:
        """The namespace as a file (network_namespaces(7))."""
        return f"/proc/{self.pid}/ns/net"

    def inside(self) -> netlink.Netlink:
        """pyroute2's view from inside; close it, or use it in a `with`."""
        return netlink.inside(self.path)

    def set_address(self, interface: str, address: str, prefix: int, gateway: str = "") -> None:
        """Give an interface in the room an address, switch it on, and set a default route."""
        with self.inside() as view:
            (index,) = view.link_lookup(ifname=interface)
            view.addr("add", index=index, address=address, prefixlen=prefix)
            view.link("set", index=index, state="up")
            if gateway:
                view.route("add", dst="default", gateway=gateway)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the room (the file system is the host's)."""
        return subprocess.run(
            ["nsenter", f"--net={self.path}", *shlex.split(command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        """Remove the namespace and the cables that end in it; a second call is no error."""
        atexit.unregister(self.close)
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        """Wait until the process has left the host's namespace and runs `sleep`."""
        deadline = time.monotonic() + START_TIMEOUT_S
        host = os.readlink("/proc/self/ns/net")
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(FileNotFoundError):
                if os.readlink(self.path) != host:
                    return
            time.sleep(0.005)
        self.close()
        raise LabkitError("no network namespace could be made: that needs root")

    def __enter__(self) -> "Room":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Outside(Room):
    """A machine outside, for labs without the internet: a room with a cable to the host.

    Like any machine of the internet, it has no route to a container's network: it can answer only
    packets from the host's own address `gateway`.
    """

    def __init__(self, link: str = OUTSIDE_LINK) -> None:
        super().__init__()
        self.link = link
        self.gateway, self.address = OUTSIDE_GATEWAY, OUTSIDE_ADDRESS
        try:
            with netlink.host() as host:
                for old in host.link_lookup(ifname=link):
                    host.link("del", index=old)
                end = {"ifname": "eth0", "net_ns_pid": self.pid}
                host.link("add", ifname=link, kind="veth", peer=end)
                (index,) = host.link_lookup(ifname=link)
                host.addr("add", index=index, address=self.gateway, prefixlen=30)
                host.link("set", index=index, state="up")
            self.set_address("lo", "127.0.0.1", 8)
            self.set_address("eth0", self.address, 30)
        except BaseException:
            self.close()
            raise
