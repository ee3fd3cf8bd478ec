"""Registries: pull, push, log in, search, inspect an image without pulling it.

The work is in `labkit.transfers` and `labkit.registry.client`, which are imported when they are
first needed: the import of their HTTP library takes a tenth of a second.
"""

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from labkit.containers import Engine
from labkit.daemon import filters, registry_settings
from labkit.daemon.requests import Request
from labkit.dialect.numbers import whole
from labkit.dialect.references import DEFAULT_DOMAIN
from labkit.errors import InvalidParameterError, UnauthorizedError
from labkit.http.responses import Answer, json_response
from labkit.images import platforms, references
from labkit.images.models import INDEXES, Platform
from labkit.images.references import Reference
from labkit.registry.client import credentials
from labkit.registry.client.endpoints import Settings
from labkit.transfers.progress import Progress

if TYPE_CHECKING:
    from labkit.registry.client.manifests import Received
    from labkit.registry.client.repository import Repository
    from labkit.transfers import remotes
    from labkit.transfers.caches import RegistryCache

_Read = TypeVar("_Read")
SEARCH_FILTERS = ("is-automated", "is-official", "stars")
SEARCH_LIMIT = 100
SEARCH_DEFAULT = 25
DEFAULT_NAMES = (DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}", f"registry-1.{DEFAULT_DOMAIN}", "")


def pull(engine: Engine, request: Request) -> Answer:
    """`POST /images/create?fromImage=&tag=&platform=`: a stream of progress messages.

    `tag` may be a digest; a name without either means all tags of its repository.
    """
    from labkit.daemon import transfer_stream  # noqa: PLC0415
    from labkit.transfers.pull import Puller  # noqa: PLC0415

    reference, all_tags = _named(request.query.text("fromImage"), request.query.text("tag"))
    access = _access(engine, request)
    platform = request.query.text("platform")
    platforms.parse(platform)  # a bad one is an answer, and not the end of a stream

    def work(progress: Progress) -> None:
        puller = Puller(
            engine.images,
            progress,
            access,
            platform=platform,
            pulled=lambda name: _publish(engine, "pull", name),
        )
        (puller.pull_all if all_tags else puller.pull)(reference)

    return transfer_stream.run(work)


CredentialsFor = Callable[[str], credentials.Credentials]
"""Returns the credentials for a registry, by its domain."""


def from_build_request(request: Request) -> CredentialsFor:
    """The credentials in `X-Registry-Config`, for each registry."""

    def find(domain: str) -> credentials.Credentials:
        kept = _readable(credentials.from_config_header, request, "x-registry-config") or {}
        given = next((kept[key] for key in kept if domain_of(key) == domain), None)
        return given or credentials.ANONYMOUS

    return find


def pull_for_build(
    engine: Engine, known: CredentialsFor, name: str, platform: str, say: Callable[[object], None]
) -> None:
    """Pull an image that a build needs; `say` gets the messages."""
    from labkit.transfers import remotes  # noqa: PLC0415
    from labkit.transfers.pull import Puller  # noqa: PLC0415

    reference = references.parse(name)
    access = remotes.Access(known(reference.domain), _settings(engine))
    pulled = partial(_publish, engine, "pull")
    Puller(engine.images, Progress(say), access, platform=platform, pulled=pulled).pull(reference)


def push_for_build(
    engine: Engine, known: CredentialsFor, name: str, say: Callable[[object], None]
) -> None:
    """Push an image that a build has made; `say` gets the messages."""
    from labkit.transfers import remotes  # noqa: PLC0415
    from labkit.transfers.push import Pusher  # noqa: PLC0415

    reference = references.parse(name)
    access = remotes.Access(known(reference.domain), _settings(engine))
    pushed = partial(_publish, engine, "push")
    Pusher(engine.images, Progress(say), access, pushed=pushed).push(reference, all_tags=False)


def cache_for_build(
    engine: Engine, known: CredentialsFor, name: str, is_stopped: Callable[[], bool]
) -> "RegistryCache":
    """Return the place of a build's cache in a registry."""
    from labkit.transfers import caches, remotes  # noqa: PLC0415

    reference = references.parse(name)
    access = remotes.Access(known(reference.domain), _settings(engine))
    return caches.RegistryCache(reference, access, is_stopped)


def push(engine: Engine, request: Request, name: str) -> Answer:
    """`POST /images/{name}/push?tag=`: a stream of progress messages; without a tag, all tags."""
    from labkit.daemon import transfer_stream  # noqa: PLC0415
    from labkit.transfers.push import Pusher  # noqa: PLC0415

    reference, all_tags = _named(name, request.query.text("tag"))
    if reference.digest:
        raise InvalidParameterError("cannot push a digest reference: give the image a tag")
    access = _access(engine, request)

    def work(progress: Progress) -> None:
        pusher = Pusher(
            engine.images, progress, access, pushed=lambda name: _publish(engine, "push", name)
        )
        pusher.push(reference, all_tags=all_tags)

    return transfer_stream.run(work)


def authenticate(engine: Engine, request: Request) -> Answer:
    """`POST /auth`: whether a registry accepts these credentials; the body is an AuthConfig."""
    from labkit.registry.client.errors import RegistryError  # noqa: PLC0415
    from labkit.transfers import remotes  # noqa: PLC0415

    given, server = credentials.from_json(request.body_bytes())
    domain = domain_of(server)
    access = remotes.Access(given, _settings(engine))
    try:
        with remotes.reached(remotes.addresses(domain, access), access, Event()) as registry:
            token = registry.log_in()
    except RegistryError as error:
        if not error.is_denial:
            raise
        raise UnauthorizedError(
            f"login to {domain} failed: {error}. Check the user name and the password"
        ) from error
    return json_response({"Status": "Login Succeeded", "IdentityToken": token})


def search(engine: Engine, request: Request) -> Answer:
    """`GET /images/search?term=&limit=&filters=`."""
    from labkit.registry.client import search as searching  # noqa: PLC0415
    from labkit.transfers import remotes  # noqa: PLC0415

    asked = filters.parse(request.query.text("filters"), SEARCH_FILTERS)
    limit = request.query.integer("limit")
    limit = SEARCH_DEFAULT if limit in (None, 0) else limit
    if limit is None or not 1 <= limit <= SEARCH_LIMIT:
        raise InvalidParameterError(f"Limit {limit} is outside the range of [1, {SEARCH_LIMIT}]")
    stars = max((_stars(value) for value in asked.get("stars", [])), default=0)
    official = filters.truth(asked, "is-official")
    automated = filters.truth(asked, "is-automated")
    domain, term = searching.split_term(request.query.text("term"))
    if not term:
        raise InvalidParameterError("a search needs a term: a part of an image's name")
    access = _access(engine, request)
    endpoints = searching.endpoints(domain, access.settings)
    with remotes.reached(endpoints, access, Event()) as registry:
        found = searching.search(registry, term, limit)
    return json_response(
        [
            image
            for image in found
            if image.star_count >= stars
            and official in (None, image.is_official)
            and automated in (None, image.is_automated)
        ]
    )


def distribution(engine: Engine, request: Request, name: str) -> Answer:
    """`GET /distribution/{name}/json`: an image's descriptor and platforms, from its registry."""
    from labkit.transfers import remotes  # noqa: PLC0415

    reference = references.parse(name)
    access = _access(engine, request)

    def look(repository: "Repository") -> "tuple[Received, list[Platform]]":
        received = repository.manifest(reference.digest or reference.tag)
        if received.descriptor.media_type in INDEXES:
            entries = received.as_index().manifests
            return received, [entry.platform for entry in entries if entry.platform]
        return received, [repository.document(received.as_manifest().config, Platform)]

    with remotes.asked(reference, access, Event(), look) as (_, (received, platforms)):
        pass
    return json_response({"Descriptor": received.descriptor, "Platforms": platforms})


def domain_of(server: str) -> str:
    """The domain for a server's address: docker.io for `https://index.docker.io/v1/`."""
    host = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_DOMAIN if host in DEFAULT_NAMES else host


def _named(name: str, tag: str) -> tuple[Reference, bool]:
    """An image's name from the API's two parameters, and whether it means all tags."""
    name = name.removesuffix(":")
    if tag:
        name = f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"
    is_one = "@" in name or ":" in name.rpartition("/")[2]
    return references.parse(name), not is_one


def _access(engine: Engine, request: Request) -> "remotes.Access":
    from labkit.transfers import remotes  # noqa: PLC0415

    given = _readable(credentials.from_header, request, "x-registry-auth")
    return remotes.Access(given or credentials.ANONYMOUS, _settings(engine))


def _readable(read: Callable[[str], _Read], request: Request, header: str) -> _Read | None:
    """The value of a header; None if it is malformed: Docker then proceeds without credentials."""
    try:
        return read(request.headers.get(header, ""))
    except InvalidParameterError:
        return None


def _settings(engine: Engine) -> Settings:
    return registry_settings.read(engine.paths.root)


def _publish(engine: Engine, action: str, name: str) -> None:
    """Publish an event; like Docker it has the full name as id, and the repository as name."""
    engine.events.publish("image", action, name, {"name": references.repository_of(name)})


def _stars(text: str) -> int:
    stars = whole(text, least=0)
    if stars is None:
        raise InvalidParameterError(f"invalid filter 'stars={text[:60]}'")
    return stars
