"""The filters of `docker ps`: each is a test of a container."""

from collections.abc import Callable, Mapping

from labkit.containers import Container, Engine
from labkit.daemon import filters
from labkit.daemon.filters import Filters
from labkit.daemon.shapes.networks import port_list
from labkit.dialect.numbers import whole
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.networks.ports import parse_exposed

STATUSES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")
HEALTHS = ("healthy", "none", "starting", "unhealthy")

Test = Callable[[Container], bool]


def test_for(engine: Engine, asked: Filters) -> Test:
    """A test whether a container matches all filters; InvalidParameterError, NotFoundError."""
    is_task = filters.truth(asked, "is-task")
    tests = [make(engine, asked[name]) for name, make in _MAKERS.items() if asked.get(name)]

    def passes(container: Container) -> bool:
        return (
            not is_task  # there is no swarm, and so no task
            and filters.has_labels(asked, container.config.labels)
            and all(test(container) for test in tests)
        )

    return passes


def _of_image(engine: Engine, references: list[str]) -> Test:
    """Filter by image, and images made from it; a name of no image matches nothing."""
    children: dict[str, list[str]] = {}
    for image in engine.images.list():
        children.setdefault(image.parent, []).append(image.id)
    found: set[str] = set()
    for reference in references:
        try:
            found |= _descendants(engine.images.resolve(reference).id, children)
        except NotFoundError:
            continue
    return lambda container: container.image_id in found


def _descendants(image_id: str, children: Mapping[str, list[str]]) -> set[str]:
    found, waiting = set(), [image_id]
    while waiting:
        found.add(here := waiting.pop())
        waiting += (child for child in children.get(here, ()) if child not in found)
    return found


def _before(engine: Engine, refs: list[str]) -> Test:
    made = min(engine.get(ref).created for ref in refs)
    return lambda container: container.created < made


def _since(engine: Engine, refs: list[str]) -> Test:
    made = max(engine.get(ref).created for ref in refs)
    return lambda container: container.created > made


def _exited(engine: Engine, codes: list[str]) -> Test:
    wanted = {code: whole(code) for code in codes}
    for code, number in wanted.items():
        if number is None:
            raise InvalidParameterError(
                f"invalid filter 'exited={code[:60]}': it must be an exit code"
            )
    return lambda container: (
        container.state.status == "exited" and container.state.exit_code in wanted.values()
    )


def _health(engine: Engine, words: list[str]) -> Test:
    for word in words:
        if word not in HEALTHS:
            raise InvalidParameterError(f"unrecognized filter value for health: {word}")
    return lambda container: (
        (container.state.health.status if container.state.health else "none") in words
    )


def _status(engine: Engine, words: list[str]) -> Test:
    for word in words:
        if word not in STATUSES:
            raise InvalidParameterError(f"invalid filter 'status={word}'")
    return lambda container: container.state.status in words


def _id(engine: Engine, patterns: list[str]) -> Test:
    return lambda container: any(filters.text_matches(text, container.id) for text in patterns)


def _name(engine: Engine, patterns: list[str]) -> Test:
    """Filter by name; Docker matches the name with and without its slash."""

    def test(container: Container) -> bool:
        names = (container.name, f"/{container.name}")
        return any(filters.text_matches(text, name) for text in patterns for name in names)

    return test


def _volume(engine: Engine, words: list[str]) -> Test:
    """Filter by a volume's name, the path on the host, or the path in the container."""

    def test(container: Container) -> bool:
        return any(
            word in (point.name or point.source, point.destination)
            for point in container.mount_points
            for word in words
        )

    return test


def _network(engine: Engine, words: list[str]) -> Test:
    """Filter by a network's name, or by its id or the beginning of the id."""
    named = set(words)
    for network in engine.networks.all():
        if any(word and network.id.startswith(word) for word in words):
            named.add(network.name)
    return lambda container: (
        container.host_config.network_mode in named
        or not container.networks.keys().isdisjoint(named)
    )


def _port_test(field: str, asked_as: str) -> "Callable[[Engine, list[str]], Test]":
    """Make a filter for a field of the ports that `ps` shows; only running containers have them."""

    def make(engine: Engine, texts: list[str]) -> Test:
        wanted = {port for text in texts for port in _ports_of(text, asked_as)}

        def test(container: Container) -> bool:
            shown = port_list(engine, container)
            return any((port.get(field), port["Type"]) in wanted for port in shown)

        return test

    return make


def _ports_of(text: str, asked_as: str) -> list[tuple[int, str]]:
    """Read `80`, `80/udp` or `8000-8010/tcp` as a list of ports with their protocols."""
    try:
        return parse_exposed([text])
    except InvalidParameterError as error:
        raise InvalidParameterError(
            f"error while looking up for {asked_as} {text}: {error}"
        ) from None


_MAKERS: Mapping[str, Callable[[Engine, list[str]], Test]] = {
    "ancestor": _of_image,
    "before": _before,
    "exited": _exited,
    "expose": _port_test("PrivatePort", "expose"),
    "health": _health,
    "id": _id,
    "name": _name,
    "network": _network,
    "publish": _port_test("PublicPort", "publish"),
    "since": _since,
    "status": _status,
    "volume": _volume,
}
NAMES = (*_MAKERS, "is-task", "isolation", "label")
"""All filters; `isolation` is of Windows, and ignored."""
