"""Removing an exercise's objects: all those whose name has the exercise's mark."""

import os
import signal
from contextlib import suppress

from labkit.cgroups import groups as control_groups
from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.exercise import Exercise
from labkit.course.exercises.place import Place
from labkit.course.networks import netlink
from labkit.errors import ConflictError, LabkitError, NotFoundError


def tidy(exercise: Exercise, place: Place, values: Values) -> None:
    """Remove its containers, images, networks, volumes, links, groups and sleeping processes."""
    exercise.tidy(place, values)
    client, mark = place.client, f"-{values.mark}"
    for sleeper in _sleepers(values):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(sleeper, signal.SIGKILL)
    for container in client.containers.list(all=True):
        if mark in container.name or any(mark in name for name in _image_names(container.attrs)):
            with suppress(NotFoundError, ConflictError):
                container.remove(force=True, v=True)
    for image in client.images.list():
        for name in image.tags:
            if mark in name:
                with suppress(LabkitError):
                    client.images.remove(name, force=True)
    for network in client.api.get("/networks"):
        if mark in network["Name"]:
            with suppress(LabkitError):
                client.api.delete(f"/networks/{network['Id']}")
    for volume in client.volumes.list():
        if mark in volume.name:
            with suppress(LabkitError):
                volume.remove(force=True)
    _remove_links(mark)
    _remove_groups(place, mark)


def _image_names(attrs: dict[str, object]) -> list[str]:
    config = attrs.get("Config")
    return [str(config.get("Image", ""))] if isinstance(config, dict) else []


def _sleepers(values: Values) -> list[int]:
    """The processes that sleep for one of the drawn times."""
    times = [str(value) for value in values.values() if isinstance(value, int) and value >= 100_000]
    return [pid for each in times for pid in processes.with_words(("sleep", each))]


def _remove_links(mark: str) -> None:
    with suppress(OSError), netlink.host() as host:
        for link in host.get_links():
            if mark in (link.get_attr("IFLA_IFNAME") or ""):
                with suppress(
                    Exception
                ):  # the kernel removes the second end of a pair with the first
                    host.link("del", index=link["index"])


def _remove_groups(place: Place, mark: str) -> None:
    for point in place.group_roots():
        found = [
            f"{folder}/{name}"
            for folder, names, _ in os.walk(point)
            for name in names
            if mark in name
        ]
        with suppress(OSError):
            control_groups.remove(found)
