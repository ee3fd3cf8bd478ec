"""The export of a build's result: an image of the engine, or files for the client.

| `-o` | exporter | what happens |
|---|---|---|
| nothing, `type=image` | `moby`, `image` | the image gets its names |
| `type=local` | `local` | the client gets its files in a folder, one by one |
| `type=tar` | `tar` | the client gets its files as an archive |
| `type=docker`, `type=oci` | `docker`, `oci` | the client gets the image as an archive |
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from labkit.build.builder import Build
from labkit.build.context.tars import receive
from labkit.buildkit import sending
from labkit.buildkit.caches import caching
from labkit.buildkit.jobs import SESSION_TIMEOUT_S, Job, Solved
from labkit.buildkit.messages import Exporter, VertexWarning
from labkit.buildkit.progress import now
from labkit.buildkit.sessions import Sessions
from labkit.containers import Engine
from labkit.dialect.references import canonical
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import Image, references, saving
from labkit.images.layout import encode
from labkit.images.models import INDEX, Index, Platform
from labkit.rpc.calls import Made

FILE_SEND = "/moby.filesync.v1.FileSend/DiffCopy"


class Exporters:
    """Runs the exporters of an engine's builds."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self._engine = engine
        self._sessions = sessions

    def export(self, job: Job, solved: Solved) -> dict[str, str]:
        """Build, then export the image; return the answer for the client."""
        if not solved.builds:
            return {}
        build = solved.builds[0]
        wanted = _wanted(job)
        caches = job.request.cache.exports if job.request.cache else []
        caching.check(caches)
        for exporter in wanted:  # a result that cannot be exported need not be built
            if exporter.type not in _EXPORTS:
                raise InvalidParameterError(f"exporter {exporter.type} is unknown")
            _names(exporter)
            if len(solved.builds) > 1 and exporter.type not in _OF_SEVERAL:
                raise InvalidParameterError(
                    f"{exporter.type} exporter does not currently support exporting several "
                    f"platforms: use one of {', '.join(_OF_SEVERAL)}"
                )
        images = solved.images()
        image = images[0] if len(images) == 1 else self._joined(images)
        if unused := build.unused_arguments():
            names = " ".join(unused)
            said_of_them = f"One or more build-args [{names}] were not consumed"
            job.progress.warn(VertexWarning(level=1, short=said_of_them.encode()))
        said: dict[str, str] = {}
        for number, exporter in enumerate(wanted):
            job.check()
            said |= _EXPORTS[exporter.type](self, job, build, image, exporter, number)
        if len(images) > 1 and wanted:
            said["containerimage.digest"] = image.digest
        if caches:
            session = self._sessions.wait(job.request.session, SESSION_TIMEOUT_S)
            said |= caching.export(caches, build, image, session, job.vertices)
        return said

    def _joined(self, images: Sequence[Image]) -> Image:
        """Return one image for several platforms.  InvalidParameterError, LabkitError."""
        store = self._engine.images
        members = [
            replace(
                store.own_manifest(image),
                platform=Platform(image.architecture, image.os, image.document.variant),
            )
            for image in images
        ]
        descriptor, data = encode(Index(2, INDEX, manifests=members), INDEX)
        try:
            with store.draft() as draft:
                for digest in store.blobs_of(members):
                    draft.has_blob(digest)  # from here on it stays
                return draft.commit_manifest(descriptor, data)
        except NotFoundError:
            raise InvalidParameterError(
                "an image for several platforms is kept only if this machine's is among them: add "
                "it to --platform"
            ) from None

    def to_image(
        self, job: Job, build: Build, image: Image, exporter: Exporter, number: int
    ) -> dict[str, str]:
        """Give the image its names."""
        names = _names(exporter)
        with job.vertices.step("exporting to image") as step, _part(job, step, "exporting layers"):
            with _part(job, step, f"writing image {image.id}"):
                pass
            for name in names:
                with _part(job, step, f"naming to {name}"):
                    self._engine.images.name(image, name)
                    shown = references.parse(name).familiar
                    self._engine.events.publish_image("tag", image, shown)
        if exporter.attributes.get("push") == "true":
            for name in names:
                with job.vertices.step(f"pushing {name}"):
                    build.push(name)
        said = {"containerimage.config.digest": image.id, "containerimage.digest": image.id}
        return said | ({"image.name": ",".join(names)} if names else {})

    def to_folder(
        self, job: Job, build: Build, image: Image, exporter: Exporter, number: int
    ) -> dict[str, str]:
        """Send the image's files to a folder of the client."""
        archive = receive(build.files_of(image, [""]), build.workroom.path, devices=True)
        job.stack.callback(archive.close)
        with (
            job.vertices.step("exporting to client directory") as step,
            _part(job, step, "copying files"),
            self._sending(job, number) as call,
        ):
            sending.send_folder(call, archive)
        return {}

    def to_archive(
        self, job: Job, build: Build, image: Image, exporter: Exporter, number: int
    ) -> dict[str, str]:
        """Send the image's files as an archive."""
        self._send(job, "exporting to client tarball", build.files_of(image, [""]), number)
        return {}

    def to_image_archive(
        self, job: Job, build: Build, image: Image, exporter: Exporter, number: int
    ) -> dict[str, str]:
        """Send the image in the form of `docker save`, which is an OCI layout as well.

        Its names are in the archive alone.
        """
        names = _names(exporter)
        pieces = saving.save_one(self._engine.images, image, names)
        kind = "oci" if exporter.type == "oci" else "docker"
        self._send(job, f"exporting to {kind} image format", pieces, number)
        return {"containerimage.config.digest": image.id, "containerimage.digest": image.digest}

    def _send(self, job: Job, title: str, pieces: Iterable[bytes], number: int) -> None:
        with (
            job.vertices.step(title) as step,
            _part(job, step, "sending tarball"),
            self._sending(job, number) as call,
        ):
            sending.send_bytes(call, pieces)

    @contextmanager
    def _sending(self, job: Job, number: int) -> Iterator[Made]:
        """A call that sends files to the client."""
        session = self._sessions.wait(job.request.session, SESSION_TIMEOUT_S)
        call = session.call(FILE_SEND, {"buildkit-attachable-exporter-id": [str(number)]})
        try:
            yield call
        finally:
            call.close()


def _wanted(job: Job) -> Sequence[Exporter]:
    request = job.request
    if request.exporters:
        return request.exporters
    if not request.exporter_deprecated:
        return []
    return [Exporter(request.exporter_deprecated, request.exporter_attributes_deprecated)]


def _names(exporter: Exporter) -> list[str]:
    """Return the whole names for the image; InvalidParameterError."""
    given = [name for name in exporter.attributes.get("name", "").split(",") if name]
    for name in given:
        references.parse_tag(name)
    return [canonical(name) for name in given]


@contextmanager
def _part(job: Job, step: str, name: str) -> Iterator[None]:
    started = now()
    job.vertices.part(step, name, started)
    yield
    job.vertices.part(step, name, started, is_done=True)


_OF_SEVERAL = ("image", "moby", "oci")
"""The exporters of images for several platforms."""
_EXPORTS = {
    "moby": Exporters.to_image,
    "image": Exporters.to_image,
    "local": Exporters.to_folder,
    "tar": Exporters.to_archive,
    "docker": Exporters.to_image_archive,
    "oci": Exporters.to_image_archive,
}
