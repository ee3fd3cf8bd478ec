"""Containers, with docker-py's names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from labkit.client.api import Api, container_path, filters_json
from labkit.client.archive import get_archive, put_archive
from labkit.client.create import create_body
from labkit.client.execs import ExecResult, exec_run
from labkit.client.http import Response
from labkit.client.images import Image, ImageCollection
from labkit.dialect.frames import demultiplex
from labkit.errors import LabkitError, NotFoundError


class ContainerError(LabkitError):
    """A container that `run` waited for ended with another exit status than 0."""

    def __init__(
        self, container: "Container", exit_status: int, command: object, image: str, stderr: bytes
    ) -> None:
        said = f": {stderr.decode('utf-8', 'replace').strip()}" if stderr.strip() else ""
        super().__init__(f"{command!r} in image {image!r} ended with status {exit_status}{said}")
        self.container = container
        self.exit_status = exit_status
        self.command = command
        self.image = image
        self.stderr = stderr


class Container:
    """A container.  `attrs` is the answer of `inspect` at the last `reload`."""

    def __init__(self, api: Api, attrs: dict[str, Any]) -> None:
        self._api = api
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"<Container: {self.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """The first twelve digits, which are also its host name."""
        return self.id[:12]

    @property
    def name(self) -> str:
        """Its name, given or generated."""
        return str(self.attrs["Name"]).removeprefix("/")

    @property
    def status(self) -> str:
        """`created`, `running`, `paused`, `exited`, …, as of the last `reload`."""
        return str(self.attrs["State"]["Status"])

    @property
    def image(self) -> Image:
        """The image it was made from; NotFoundError if that was removed."""
        return ImageCollection(self._api).get(self.attrs["Image"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.attrs["Config"].get("Labels") or {})

    @property
    def _path(self) -> str:
        return container_path(self.id)

    def reload(self) -> None:
        """Update `attrs`."""
        self.attrs = self._api.get(f"{self._path}/json")

    def start(self) -> None:
        """Start it; StartError if it cannot, NotModifiedError if it runs already."""
        self._api.post(f"{self._path}/start")

    def stop(self, timeout: int | None = None) -> None:
        """Ask its process to end, and kill it after `timeout` seconds (by default 10).

        NotModifiedError if it does not run.
        """
        self._api.post(f"{self._path}/stop", t=timeout)

    def kill(self, signal: "str | int | None" = None) -> None:
        """Send its first process a signal, by default SIGKILL; ConflictError if it does not run."""
        self._api.post(f"{self._path}/kill", signal=signal)

    def wait(self, condition: str = "not-running") -> dict[str, Any]:
        """Wait for its end (`not-running`, `next-exit` or `removed`): `{"StatusCode": 0, …}`."""
        return dict(self._api.post(f"{self._path}/wait", condition=condition))

    def pause(self) -> None:
        """Freeze it; ConflictError if it does not run."""
        self._api.post(f"{self._path}/pause")

    def unpause(self) -> None:
        """Let it continue; ConflictError if it is not paused."""
        self._api.post(f"{self._path}/unpause")

    def restart(self, timeout: int | None = None) -> None:
        """Stop it, as `stop` does, and start it again."""
        self._api.post(f"{self._path}/restart", t=timeout)

    def rename(self, name: str) -> None:
        """Change its name; ConflictError if the new one is in use."""
        self._api.post(f"{self._path}/rename", name=name)

    def update(self, **options: Any) -> dict[str, Any]:
        """Change limits or restart policy; names and errors are those of `create_body`."""
        body: Any = create_body("", network_mode="", **options)
        changed = {name: value for name, value in body["HostConfig"].items() if value}
        return dict(self._api.post(f"{self._path}/update", changed))

    def resize(self, height: int, width: int) -> None:
        """Set its terminal's size, in characters."""
        self._api.post(f"{self._path}/resize", h=height, w=width)

    def top(self, ps_args: str | None = None) -> dict[str, Any]:
        """Return its processes, as from ps(1): `{"Titles": […], "Processes": [[…], …]}`."""
        return dict(self._api.get(f"{self._path}/top", ps_args=ps_args))

    def stats(self) -> dict[str, Any]:
        """Return the resources it uses, measured twice, a second apart."""
        return dict(self._api.get(f"{self._path}/stats", stream="0"))

    def exec_run(
        self,
        cmd: "str | Sequence[str]",
        *,
        environment: "dict[str, str] | Sequence[str] | None" = None,
        privileged: bool = False,
        user: str = "",
        workdir: str = "",
        demux: bool = False,
    ) -> ExecResult:
        """Run another command in it, and wait; return its exit code and its output.

        With `demux` the output is (stdout, stderr).  ConflictError if the container does not run.
        """
        return exec_run(
            self._api,
            self._path,
            cmd,
            environment=environment,
            privileged=privileged,
            user=user,
            workdir=workdir,
            demux=demux,
        )

    def diff(self) -> "list[dict[str, Any]]":
        """Return its differences from its image: `Path`, `Kind` (0 changed, 1 added, 2 deleted)."""
        return list(self._api.get(f"{self._path}/changes") or [])

    def commit(
        self,
        repository: str = "",
        tag: str = "",
        *,
        message: str = "",
        author: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> Image:
        """Make an image of it and its changes; `changes` are Dockerfile instructions."""
        made = self._api.post(
            "/commit",
            container=self.id,
            repo=repository or None,
            tag=tag or None,
            comment=message or None,
            author=author or None,
            changes=list(changes) or None,
            pause="1" if pause else "0",
        )
        return ImageCollection(self._api).get(made["Id"])

    def export(self) -> Iterator[bytes]:
        """Yield its whole file system as a tar archive, in pieces."""
        response = self._api.stream("GET", f"{self._path}/export")
        return _closing(response, iter(response))

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        """Return a tar archive of the path, in pieces, and its name, size, mode, ….

        NotFoundError if the path is missing.
        """
        response, found = get_archive(self._api, self.id, path)
        return _closing(response, iter(response)), found.fields

    def put_archive(self, path: str, data: bytes | Iterable[bytes]) -> None:
        """Unpack a tar archive in one of its folders."""
        pieces = [data] if isinstance(data, bytes) else data
        put_archive(self._api, self.id, path, pieces)

    def remove(self, force: bool = False, v: bool = False) -> None:
        """Remove it and all its files; ConflictError if it runs, unless forced.

        With `v` its anonymous volumes as well.
        """
        self._api.delete(self._path, force=force, v=v)

    def steps(self) -> "list[dict[str, Any]]":
        """Return the steps of its last start: the content of `labkit run --explain=json`."""
        return list(self._api.get(f"{self._path}/steps"))

    @overload
    def logs(
        self,
        *,
        stream: Literal[False] = False,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        timestamps: bool = False,
        tail: int | str = "all",
        since: float | None = None,
        until: float | None = None,
    ) -> bytes: ...

    @overload
    def logs(
        self,
        *,
        stream: Literal[True],
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        timestamps: bool = False,
        tail: int | str = "all",
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[bytes]: ...

    def logs(
        self,
        *,
        stream: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        timestamps: bool = False,
        tail: int | str = "all",
        since: float | None = None,
        until: float | None = None,
    ) -> bytes | Iterator[bytes]:
        """Return its output; with `stream` in pieces, with `follow` also later output.

        `tail` is a number of lines from the end; `since` and `until` are Unix times in seconds.
        """
        response = self._api.stream(
            "GET",
            f"{self._path}/logs",
            stdout=stdout,
            stderr=stderr,
            timestamps=timestamps,
            tail=tail,
            since=since,
            until=until,
            follow=follow,
        )
        pieces = (payload for _, payload in demultiplex(response))
        return _closing(response, pieces) if stream else b"".join(pieces)


def _closing(response: "Response", pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces; a reader that stops early also ends the request."""
    try:
        yield from pieces
    except BaseException:
        response.close()
        raise


class ContainerCollection:
    """`client.containers`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, container_id: str) -> Container:
        """Return the container with this id, unique beginning of an id, or name; NotFoundError."""
        return Container(self._api, self._api.get(f"{container_path(container_id)}/json"))

    def list(
        self,
        all: bool = False,  # noqa: A002 docker-py's name
        limit: int | None = None,
        filters: "Mapping[str, str | Sequence[str]] | None" = None,
    ) -> "list[Container]":
        """Return the running containers, newest first; with `all` also the others.

        `filters` are Docker's: `{"status": "exited", "name": ["web"]}`.
        """
        rows = self._api.get(
            "/containers/json", all=all, limit=limit, filters=filters_json(filters)
        )
        containers = []
        for row in rows:
            try:
                containers.append(self.get(row["Id"]))
            except NotFoundError:
                continue  # removed since the list was made
        return containers

    def prune(self, filters: "Mapping[str, str | Sequence[str]] | None" = None) -> dict[str, Any]:
        """Remove the stopped ones: `{"ContainersDeleted": […], "SpaceReclaimed": 0}`."""
        return dict(self._api.post("/containers/prune", filters=filters_json(filters)))

    def create(
        self,
        image: str,
        command: "str | Sequence[str] | None" = None,
        *,
        name: str | None = None,
        **options: Any,
    ) -> Container:
        """Create a container; the options are `labkit.client.create.create_body`'s."""
        body = create_body(image, command, **options)
        return self.get(self._api.post("/containers/create", body, name=name)["Id"])

    @overload
    def run(
        self,
        image: str,
        command: "str | Sequence[str] | None" = None,
        *,
        detach: Literal[True],
        stdout: bool = True,
        stderr: bool = False,
        remove: bool = False,
        name: str | None = None,
        **options: Any,
    ) -> Container: ...

    @overload
    def run(
        self,
        image: str,
        command: "str | Sequence[str] | None" = None,
        *,
        detach: Literal[False] = False,
        stdout: bool = True,
        stderr: bool = False,
        remove: bool = False,
        name: str | None = None,
        **options: Any,
    ) -> bytes: ...

    def run(
        self,
        image: str,
        command: "str | Sequence[str] | None" = None,
        *,
        detach: bool = False,
        stdout: bool = True,
        stderr: bool = False,
        remove: bool = False,
        name: str | None = None,
        **options: Any,
    ) -> "Container | bytes":
        """Create a container and start it; wait for it and return its output, unless `detach`.

        The options are `labkit.client.create.create_body`'s.  With `remove` it is removed when it
        has ended.  NotFoundError (no such image), StartError, and ContainerError if it ends with
        another status than 0.
        """
        container = self.create(image, command, name=name, auto_remove=detach and remove, **options)
        try:
            container.start()
            if detach:
                return container
            status = container.wait()["StatusCode"]
            output = container.logs(stdout=stdout, stderr=stderr)
            errors = container.logs(stdout=False, stderr=True) if status else b""
        except BaseException:
            # Leave nothing behind if it could not be started, or if the wait was interrupted.
            if remove:
                _remove_if_there(container)
            raise
        if remove:
            _remove_if_there(container)
        if status:
            raise ContainerError(container, status, command, image, errors)
        return output


def _remove_if_there(container: Container) -> None:
    try:
        container.remove(force=True)
    except NotFoundError:
        return
