"""Network namespaces without a container: bare rooms to lay cables into, by hand.

A room is held by one sleeping process (unshare(1)).  When that goes, the kernel takes the namespace
away, and with it every cable that had an end in it: nothing is left behind, whoever was killed.
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
"""From a block that is for documentation only (RFC 5737): nobody's real address."""


class Room:
    """A network namespace of its own; at first there is nothing in it but a loopback that is off.

    `pid` is the process that holds it, which is how pyroute2 and nsenter(1) name the namespace.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        atexit.register(self.close)
        self._wait()

    @property
    def path(self) -> str:
        """The namespace as a file (network_namespaces(7))."""
        return f"/proc/{self.pid}/ns/net"

    def inside(self) -> netlink.Netlink:
        """pyroute2's view from inside; close it, or use it in a `with`."""
        return netlink.inside(self.path)

    def set_address(self, interface: str, address: str, prefix: int, gateway: str = "") -> None:
        """Give an interface in the room an address, switch it on, and say where all else goes."""
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
        """The namespace goes, with its ends of all cables; again is no error."""
        atexit.unregister(self.close)
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        """Until the process has left the host's namespace and runs `sleep`."""
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
    """A machine somewhere outside, for who has no internet: a room with a cable to the host.

    It knows no way to any container's network, as no machine of the internet does: only what comes
    from the host's own address `gateway` can be answered.
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
