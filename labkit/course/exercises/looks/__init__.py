"""Looks that several chapters' judges take."""

from typing import Any

from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.place import Place, Seen


def sleeper(place: Place, name: str, **options: Any) -> Seen:
    """Start a container that only sleeps, for a scene, and return it."""
    container = place.client.containers.run(
        "busybox", ["sleep", "100000"], name=name, detach=True, **options
    )
    return Seen(place.client.containers.get(container.id).attrs)


def running(found: Findings, place: Place, name: str, points: int, lesson: Lesson) -> Seen | None:
    """Whether a container runs, as a finding; the container if it does."""
    seen = place.container(name)
    state = "there is no such container" if seen is None else seen.status
    is_running = seen is not None and seen.is_alive and seen.status == "running"
    found.add(f"the container {name}", "running", state, points, lesson, met=is_running)
    return seen if is_running else None


def missed(found: Findings, *rest: tuple[str, object, int, Lesson]) -> list[Finding]:
    """The findings that are not met because no container runs."""
    for what, expected, points, lesson in rest:
        found.add(what, expected, "nothing to look at", points, lesson, met=False)
    return found.all
