"""pyroute2's netlink sockets for a notebook: each works in a separate thread.

They run an event loop, and the thread of a notebook's cells already has one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyroute2 import IPRoute, NetNS


class Netlink:
    """Has every method of `make`'s socket, and calls it in that thread; dumps become lists."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._thread = ThreadPoolExecutor(1, "netlink")
        try:
            self._socket = self._thread.submit(make).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **words: Any) -> Any:
            return self._thread.submit(
                lambda: _whole(getattr(self._socket, name)(*arguments, **words))
            ).result()

        return call

    def close(self) -> None:
        """Close the socket and end the thread."""
        self._thread.submit(self._socket.close).result()
        self._thread.shutdown()

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def host() -> Netlink:
    """The host's links, addresses and routes: pyroute2's `IPRoute`."""
    return Netlink(IPRoute)


def inside(namespace: str) -> Netlink:
    """The same for the network namespace of a file such as `/proc/1234/ns/net`."""
    return Netlink(lambda: NetNS(namespace))


def _whole(answer: Any) -> Any:
    return list(answer) if isinstance(answer, Iterator) else answer
