"""The DNS server's interface for the daemon: containers come and go, one thread answers.

>>> server = NameServer(networks.names)
>>> server.serve(container_id, fds)     # from now on the container gets answers
>>> server.forget(container_id)
"""

from collections.abc import Callable, Sequence

from labkit.networks.names.loop import Loop
from labkit.networks.names.shares import Shares
from labkit.networks.names.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.networks.names.clients import Client


class NameServer:
    """Answers the queries of containers.  Thread-safe; no method blocks."""

    def __init__(self, table: Callable[[], Table]) -> None:
        """`table` returns the present names."""
        self._table = table
        self._loop = Loop("names")
        self._clients: dict[str, Client] = {}
        self._shares = Shares()

    def serve(self, container_id: str, fds: Sequence[int]) -> None:
        """Answer queries on a container's UDP and TCP sockets; the server now owns them."""
        self._loop.post(lambda: self._begin(container_id, fds))

    def forget(self, container_id: str) -> None:
        """Close the sockets of a container that is gone."""
        self._loop.post(lambda: self._close(container_id))

    def close(self) -> None:
        """Close every socket; the shims keep their copies."""
        self._loop.stop(self._close_all)

    def _begin(self, container_id: str, fds: Sequence[int]) -> None:
        # Imported here, in this thread, so that no start of a daemon or a container waits for it.
        from labkit.networks.names.clients import Client  # noqa: PLC0415

        self._close(container_id)
        client = Client(self._loop, container_id, fds, self._table, self._shares)
        self._clients[container_id] = client
        client.begin()

    def _close(self, container_id: str) -> None:
        if client := self._clients.pop(container_id, None):
            client.close()

    def _close_all(self) -> None:
        for container_id in list(self._clients):
            self._close(container_id)
