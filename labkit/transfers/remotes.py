"""The registry that answers for an image's name, and its errors in Docker's words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple, TypeVar

from labkit.errors import LabkitError, NotFoundError
from labkit.images.references import Reference
from labkit.registry.client.credentials import ANONYMOUS, Credentials
from labkit.registry.client.endpoints import Endpoint, Settings, candidates
from labkit.registry.client.errors import RegistryError, UnreachableError
from labkit.registry.client.registry import Registry
from labkit.registry.client.repository import Repository

Found = TypeVar("Found")


class Access(NamedTuple):
    """The credentials and the settings for requests to registries."""

    credentials: Credentials
    settings: Settings


def registries(
    reference: Reference, access: Access, stop: Event, *, mirrors: bool = False
) -> Iterator[Registry]:
    """Give the addresses of a name's registry that answer, in order.

    Raises `UnreachableError` at the end if none of them did.
    """
    return _answering(candidates(reference.domain, access.settings, mirrors=mirrors), access, stop)


@contextmanager
def asked(
    reference: Reference, access: Access, stop: Event, ask: Callable[[Repository], Found]
) -> Iterator[tuple[Repository, Found]]:
    """Give the repository of a name, a mirror's first, and its answer to `ask`.

    A mirror that refuses or does not answer is left out.
    """
    found = registries(reference, access, stop, mirrors=True)
    try:
        for registry in found:
            repository = Repository(registry, reference.path)
            try:
                answer = ask(repository)
            except (RegistryError, UnreachableError) as error:
                if registry.endpoint.is_mirror:
                    continue
                if isinstance(error, RegistryError):
                    raise pull_error(error, reference) from error
                raise
            yield repository, answer
            return
    finally:
        found.close()  # type: ignore[attr-defined]  # a generator's


def addresses(domain: str, access: Access) -> list[Endpoint]:
    """Return the addresses of a domain's registry, without mirrors."""
    return candidates(domain, access.settings)


def _answering(endpoints: list[Endpoint], access: Access, stop: Event) -> Iterator[Registry]:
    failure: LabkitError | None = None
    for endpoint in endpoints:
        # The password is for the registry, not for a mirror of it.
        credentials = ANONYMOUS if endpoint.is_mirror else access.credentials
        with Registry(endpoint, credentials, stop) as registry:
            try:
                registry.connect()
            except UnreachableError as error:
                failure = error
                continue
            failure = None
            yield registry
            if not endpoint.is_mirror:
                return
    if failure:
        raise failure


@contextmanager
def reached(endpoints: list[Endpoint], access: Access, stop: Event) -> Iterator[Registry]:
    """Give the first of these addresses that answers; UnreachableError."""
    answering = _answering(endpoints, access, stop)
    try:
        yield next(answering)
    finally:
        answering.close()  # type: ignore[attr-defined]  # a generator's


def pull_error(error: RegistryError, reference: Reference) -> LabkitError:
    """Return the error of a refused pull."""
    if error.is_denial:
        return NotFoundError(
            f"pull access denied for {reference.repository}, repository does not exist or may "
            f"require 'docker login': {error}"
        )
    if error.code == "MANIFEST_UNKNOWN":
        return NotFoundError(f"manifest for {reference.familiar} not found: {error}")
    if error.code == "NAME_UNKNOWN":
        return NotFoundError(f"repository {reference.repository} not found: {error}")
    return error


def push_error(error: RegistryError, reference: Reference) -> LabkitError:
    """Return the error of a refused push."""
    if error.is_denial:
        return LabkitError(
            f"push access denied for {reference.repository}, which may require 'docker login': "
            f"{error}"
        )
    return error
