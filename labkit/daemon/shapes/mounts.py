"""A container's mounts and volumes as JSON, in `inspect`, in `ps`, and in `volume ls`."""

from labkit.containers import Container
from labkit.containers.given.mounts import LOCAL_DRIVER
from labkit.containers.given.volumes import Volume

JsonObject = dict[str, object]


def mounts(container: Container) -> list[JsonObject]:
    """A container's mounts.  As in Docker, `--tmpfs` is not among them: see HostConfig.Tmpfs."""
    shown = []
    for point in container.mount_points:
        if point.destination in (container.host_config.tmpfs or {}):
            continue
        is_volume = point.type == "volume"
        of_volume: JsonObject = {"Name": point.name, "Driver": LOCAL_DRIVER} if is_volume else {}
        entry: JsonObject = {
            "Type": point.type,
            "Source": point.source,
            "Destination": point.destination,
            "Mode": point.mode,
            "RW": not point.read_only,
            "Propagation": (point.propagation or "rprivate") if point.type == "bind" else "",
        }
        shown.append(entry | of_volume)
    return shown


def volume(found: Volume) -> JsonObject:
    """One element of `GET /volumes`, and the answer of `GET /volumes/{name}`."""
    return {
        "CreatedAt": _whole_seconds(found.record.created_at),
        "Driver": LOCAL_DRIVER,
        "Labels": found.record.labels or None,
        "Mountpoint": found.data,
        "Name": found.name,
        "Options": found.record.options or None,
        "Scope": "local",
    }


def _whole_seconds(text: str) -> str:
    """An RFC 3339 time in UTC without its fraction of a second."""
    return text.partition(".")[0].removesuffix("Z") + "Z"
