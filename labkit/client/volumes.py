"""Volumes, with docker-py's names."""

from labkit.client.api import Api, filters_json, volume_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def volume_body(
    name: str = "",
    *,
    driver: str = "local",
    driver_opts: "Mapping[str, str] | None" = None,
    labels: "Mapping[str, str] | None" = None,
) -> dict[str, object]:
    """Return the body of `POST /volumes/create`; without a name the engine generates one."""
    body: dict[str, object] = {"Driver": driver, "Labels": dict(labels or {})}
    if name:
        body["Name"] = name
    if driver_opts:
        body["DriverOpts"] = dict(driver_opts)
    return body


class Volume:
    """A volume.  `attrs` is the answer of `volume inspect` at the last `reload`."""

    def __init__(self, api: Api, attrs: "dict[str, Any]") -> None:
        self._api = api
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"<Volume: {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Volume) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def name(self) -> str:
        """Its name, given or generated."""
        return str(self.attrs["Name"])

    @property
    def id(self) -> str:
        """Its name, for volumes have no other id."""
        return self.name

    def reload(self) -> None:
        """Update `attrs`."""
        self.attrs = self._api.get(volume_path(self.name))

    def remove(self, force: bool = False) -> None:
        """Remove it and its files; ConflictError if a container uses it."""
        self._api.delete(volume_path(self.name), force=force)


class VolumeCollection:
    """`client.volumes`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, name: str = "", **options: "Any") -> Volume:
        """Create a volume, or return the one of this name; options as of `volume_body`."""
        return Volume(self._api, self._api.post("/volumes/create", volume_body(name, **options)))

    def get(self, volume_id: str) -> Volume:
        """Return the volume with this name; NotFoundError."""
        return Volume(self._api, self._api.get(volume_path(volume_id)))

    def list(self, filters: "Mapping[str, str | Sequence[str]] | None" = None) -> "list[Volume]":
        """Return all volumes, or those that match: `{"dangling": "true"}`."""
        found = self._api.get("/volumes", filters=filters_json(filters))
        return [Volume(self._api, attrs) for attrs in found["Volumes"] or []]

    def prune(self, filters: "Mapping[str, str | Sequence[str]] | None" = None) -> "dict[str, Any]":
        """Remove the unused ones: `{"VolumesDeleted": […], "SpaceReclaimed": 0}`."""
        return dict(self._api.post("/volumes/prune", filters=filters_json(filters)))
