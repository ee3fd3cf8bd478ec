"""`Client`: one labkitd, its containers, images and volumes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.client.api import Api, filters_json
from labkit.client.containers import ContainerCollection
from labkit.client.events import events
from labkit.client.images import ImageCollection
from labkit.client.volumes import VolumeCollection
from labkit.paths import Paths


class Client:
    """A labkitd behind its socket.  It starts no daemon; `labkit.client.daemon.ensure` does.

    Several threads may use it.  Every method raises `DaemonUnavailableError` if no daemon answers.
    """

    def __init__(self, socket_path: str | None = None, timeout_s: float | None = None) -> None:
        """`socket_path` is labkitd's socket, by default the one that the environment names.

        `timeout_s` limits each single wait for an answer; by default there is no limit.
        """
        self.api = Api(socket_path or Paths.from_environment().socket, timeout_s)
        self.containers = ContainerCollection(self.api)
        self.images = ImageCollection(self.api)
        self.volumes = VolumeCollection(self.api)

    def ping(self) -> bool:
        """Return True if the daemon answers; `DaemonUnavailableError` if none does."""
        return self.api.stream("GET", "/_ping").read() == b"OK"

    def version(self) -> dict[str, Any]:
        """Return the daemon's version, and the kernel's (`GET /version`)."""
        return dict(self.api.get("/version"))

    def info(self) -> dict[str, Any]:
        """Return facts about the daemon: counts, folders, cgroup version (`GET /info`)."""
        return dict(self.api.get("/info"))

    def events(
        self,
        since: float | None = None,
        until: float | None = None,
        filters: "Mapping[str, str | Sequence[str]] | None" = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield events, live, from `since` to `until` (Unix times in seconds)."""
        return events(self.api, since=since, until=until, filters=filters_json(filters))

    def close(self) -> None:
        """Close the connections that are kept for later requests."""
        self.api.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
