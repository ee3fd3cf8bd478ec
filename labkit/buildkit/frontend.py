"""From a client's request to a build of `labkit.build`.

A frontend is a program that turns a file into steps; Docker's clients name `dockerfile.v0`, or an
image that holds a newer one.  labkit has one, its own, and uses it for both.  The user's options
arrive as attributes: `build-arg:A`, `target`, `no-cache`.
"""

import re
from collections.abc import Callable, Mapping

from labkit.build.builder import Build
from labkit.build.context.contexts import Source
from labkit.build.dockerfile.parser import parse
from labkit.build.options import Options, Registries
from labkit.build.solver import target
from labkit.build.workroom import Workroom
from labkit.buildkit import checking, linting
from labkit.buildkit.agents import SessionAgents
from labkit.buildkit.caches import caching
from labkit.buildkit.contexts import SessionContexts
from labkit.buildkit.inputs import number_of
from labkit.buildkit.jobs import SESSION_TIMEOUT_S, Job, Jobs, Solved
from labkit.buildkit.kept import Kept
from labkit.buildkit.messages import (
    BridgeSolveRequest,
    CredentialsRequest,
    CredentialsResponse,
    SecretRequest,
    SecretResponse,
    VertexWarning,
)
from labkit.buildkit.sessions import Client, Sessions
from labkit.buildkit.vertices import Teller, Vertices
from labkit.containers import Engine, HostConfig
from labkit.containers.records.model import Ulimit
from labkit.errors import InvalidParameterError
from labkit.rpc import calls
from labkit.rpc.errors import NOT_FOUND, UNIMPLEMENTED, CallError

SECRET_TIMEOUT_S = 60.0
SECRET_MAX_BYTES = 500 << 10
"""As in BuildKit (session/secrets): a larger one is no secret."""
LOCAL_SESSION = "local-sessionid:"

_OWN_FRONTENDS = re.compile(r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?")
_DOCKERFILE, _GATEWAY = "dockerfile.v0", "gateway.v0"

Credentials = Callable[[str], tuple[str, str]]
"""Returns the credentials for a registry's host: a name and a password, or empty texts."""


RegistriesFor = Callable[[Credentials], Registries]
"""Makes a build's access to registries, with these credentials."""


class Solve:
    """Runs the frontend for a job: `solve(job, request)`."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        registries: RegistriesFor,
        kept: Kept,
        jobs: Jobs,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._registries = registries
        self._kept = kept
        self._jobs = jobs

    def __call__(self, job: Job, request: BridgeSolveRequest) -> Solved:
        """Read the Dockerfile, and fetch its base images.

        CallError for an impossible request; LabkitError, OSError.
        """
        attributes = request.options
        _check_frontend(request.frontend, attributes)
        session = self._sessions.wait(
            job.request.session, SESSION_TIMEOUT_S, lambda: job.is_cancelled
        )
        session.on_close(job.cancel)
        shared = {
            key.removeprefix(LOCAL_SESSION): self._sessions.wait(uuid, SESSION_TIMEOUT_S)
            for key, uuid in attributes.items()
            if key.startswith(LOCAL_SESSION)
        }
        workroom = Workroom(self._engine.paths, self._engine.parts.snapshots)
        job.stack.callback(workroom.close)
        vertices = Vertices(job.progress, f"{job.ref} {len(attributes)}")
        contexts = SessionContexts(
            attributes,
            session,
            sent=job.sent,
            shared=shared,
            inputs=lambda name: self._result(request, name),
            kept=self._kept,
            workroom=workroom,
            vertices=vertices,
            stack=job.stack,
        )
        options = _options(attributes)._replace(
            secret=lambda name: secret(session, name), agents=SessionAgents(session)
        )
        job.source = contexts.dockerfile()
        _check_syntax(job.source.data)
        registries = self._registries(lambda host: credentials(session, host))
        facts = linting.Facts(
            self._engine,
            options.build_args,
            registries.shown(registries.platform(options.platform.partition(",")[0])),
            contexts.ignored,
        )
        if asked := attributes.get("requestid"):
            return Solved([], _answer(asked, job.source, options, facts))
        importer = caching.Importer(self._engine, session, registries, vertices)
        caches = importer.find(attributes, workroom)
        options = options._replace(cache_from=caches.images, portable_caches=caches.portable)
        builds = []
        platforms = options.platform.split(",")
        contexts.takes_all = len(platforms) > 1
        for platform in dict.fromkeys(platforms):
            wanted = options._replace(platform=platform)
            build = Build(self._engine, wanted, contexts, workroom, registries)
            job.hold(build)
            name = registries.shown(build.platform) if len(platforms) > 1 else ""
            teller = Teller(Vertices(job.progress, f"{job.ref} {len(attributes)} {name}"), name)
            build.resolve(teller.take)
            teller.know(build)
            builds.append((build, teller))
        _lint(job, vertices, facts)
        _warn(job, vertices, attributes)
        return Solved(builds)

    def _result(self, request: BridgeSolveRequest, name: str) -> str:
        """Return the image that another build makes.  CallError, InvalidParameterError."""
        definition = request.inputs.get(name)
        if definition is None:
            raise InvalidParameterError(f"the request has no input {name}")
        images = self._jobs.result(number_of(definition)).images()
        return images[0].id if images else ""


def _answer(asked: str, source: Source, options: Options, facts: linting.Facts) -> dict[str, bytes]:
    if asked != "frontend.lint":
        return checking.answer(asked, source, options)
    target(parse(*source), options.target)
    return linting.answer(source, linting.lint(source, facts)[0])


def _lint(job: Job, vertices: Vertices, facts: linting.Facts) -> None:
    """Warn of broken rules; InvalidParameterError if the file makes them errors."""
    assert job.source is not None  # noqa: S101 it was read before
    found, settings = linting.lint(job.source, facts)
    vertex = vertices.digest(f"[internal] load build definition from {job.source.name}")
    for warning in linting.warnings(job.source, found, vertex):
        job.progress.warn(warning)
    if found and settings.is_error:
        raise linting.error_of(found)


def _check_frontend(name: str, attributes: Mapping[str, str]) -> None:
    if name == _DOCKERFILE or not name:
        name = attributes.get("build-arg:BUILDKIT_SYNTAX", "")
    elif name == _GATEWAY:
        name = attributes.get("source", "")
    else:
        raise CallError(UNIMPLEMENTED, f"unknown frontend {name}: labkit has {_DOCKERFILE}")
    _check_own(name)


def _check_own(image: str) -> None:
    if image and not _OWN_FRONTENDS.fullmatch(image.split(maxsplit=1)[0]):
        raise CallError(
            UNIMPLEMENTED,
            f"the frontend {image} cannot be run: labkit builds Dockerfiles by itself, and runs no "
            "other frontend. Remove the syntax line, or name docker/dockerfile",
        )


def _check_syntax(data: bytes) -> None:
    """Check the `# syntax=` line at the top of the file: it may name another frontend."""
    for line in data.decode("utf-8-sig", "replace").splitlines():
        found = re.fullmatch(r"#\s*([A-Za-z]+)\s*=\s*(.+?)\s*", line)
        if found is None:
            return
        if found[1].lower() == "syntax":
            _check_own(found[2])


def _options(attributes: Mapping[str, str]) -> Options:
    """A build's options by the attributes of a request; InvalidParameterError."""
    no_cache = attributes.get("no-cache")
    return Options(
        dockerfile=attributes.get("filename") or "Dockerfile",
        build_args=_with_prefix(attributes, "build-arg:"),
        labels=_with_prefix(attributes, "label:"),
        target=attributes.get("target", ""),
        platform=attributes.get("platform", ""),
        no_cache=no_cache == "",
        no_cache_stages=[name.lower() for name in (no_cache or "").split(",") if name],
        pull=attributes.get("image-resolve-mode") == "pull",
        host_config=_host_config(attributes),
    )


def _with_prefix(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    found = {
        key.removeprefix(prefix): value
        for key, value in attributes.items()
        if key.startswith(prefix)
    }
    found.pop("BUILDKIT_SYNTAX", None)
    return found


def _host_config(attributes: Mapping[str, str]) -> HostConfig:
    """Return the settings of RUN's containers."""
    host = HostConfig()
    if hosts := attributes.get("add-hosts"):
        pairs = (pair.partition("=") for pair in hosts.split(","))
        host.extra_hosts = [f"{name}:{address}" for name, _, address in pairs]
    host.network_mode = attributes.get("force-network-mode") or host.network_mode
    if attributes.get("cgroup-parent"):
        raise InvalidParameterError("cgroup-parent: labkit chooses a container's cgroup itself")
    size = attributes.get("shm-size", "")
    if size:
        host.shm_size = _whole("shm-size", size)
    if limits := attributes.get("ulimit"):
        host.ulimits = [_ulimit(text) for text in limits.split(",")]
    return host


def _ulimit(text: str) -> Ulimit:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return Ulimit(name, _whole("ulimit", soft), _whole("ulimit", hard or soft))


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidParameterError(f"{name}={text} is not a whole number") from None


def _warn(job: Job, vertices: Vertices, attributes: Mapping[str, str]) -> None:
    """Warn of requests that are left out."""
    asked = sorted(key for key in attributes if key.startswith("attest:"))
    wanted = [
        key
        for key in asked
        if not {"disabled=true", "inline-only=true"} & set(attributes[key].split(","))
    ]
    if not wanted:
        return
    names = " and ".join(key.removeprefix("attest:") for key in wanted)
    with vertices.step("[internal] attestations") as step:
        job.progress.warn(
            VertexWarning(
                vertices.digest(step), 1, f"labkit makes no attestations: {names} left out".encode()
            )
        )


# Requests of a build to its client


def secret(session: Client, name: str) -> bytes | None:
    """Return a secret by its id; None if the client has none.  CallError, InvalidParameterError."""
    path = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    try:
        found = calls.ask(session, path, SecretRequest(name), SecretResponse, SECRET_TIMEOUT_S)
    except CallError as error:
        if error.code in (NOT_FOUND, UNIMPLEMENTED):
            return None
        raise
    if len(found.data) > SECRET_MAX_BYTES:
        raise InvalidParameterError(f"secret {name} is larger than {SECRET_MAX_BYTES >> 10} KiB")
    return found.data


def credentials(session: Client, host: str) -> tuple[str, str]:
    """Return the client's credentials for a registry."""
    path = "/moby.filesync.v1.Auth/Credentials"
    try:
        found = calls.ask(
            session, path, CredentialsRequest(host), CredentialsResponse, SECRET_TIMEOUT_S
        )
    except CallError as error:
        if error.code in (NOT_FOUND, UNIMPLEMENTED):
            return "", ""
        raise
    return found.username, found.secret
