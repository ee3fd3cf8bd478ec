"""`docker push`: an image's layers, its config and, when all of that is there, its manifest."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from labkit.errors import NotFoundError
from labkit.images import Image, ImageStore, models, references
from labkit.images.archives.compression import CHUNK_BYTES, GzipBlob
from labkit.images.documents import for_this_machine, members
from labkit.images.drafts import Draft
from labkit.images.layout import digest_of, encode
from labkit.images.models import Descriptor, Index, Manifest
from labkit.images.references import Reference
from labkit.registry.client.errors import RegistryError
from labkit.registry.client.repository import Repository
from labkit.transfers.progress import Progress
from labkit.transfers.remotes import Access, push_error, registries

SHORT_DIGITS = 12
SOURCES_TRIED = 3
DOCKER_LAYER = models.DOCKER_LAYER_GZIP.removesuffix(".gzip")
COMPRESSED = {models.LAYER: models.LAYER_GZIP, DOCKER_LAYER: models.DOCKER_LAYER_GZIP}
"""The media type of a compressed layer, by that of the plain one: gzip is sent."""

Open = Callable[[], BinaryIO]


class Pusher:
    """Pushes images of a store, telling `progress`; `pushed` is called with each one's name."""

    def __init__(
        self,
        store: ImageStore,
        progress: Progress,
        access: Access,
        *,
        pushed: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._store = store
        self._progress = progress
        self._access = access
        self._pushed = pushed
        self._domain = ""

    def push(self, reference: Reference, *, all_tags: bool = False) -> None:
        """Push the image of this name, or those of all tags of its repository here.

        Raises `NotFoundError` when there is none, `RegistryError`, `UnreachableError`.
        """
        self._domain = reference.domain
        self._progress.say(f"The push refers to repository [{reference.domain}/{reference.path}]")
        wanted = self._tags(reference) if all_tags else [reference]
        images = [self._image(name) for name in wanted]
        for registry in registries(reference, self._access, self._progress.stop):
            repository = Repository(registry, reference.path, pushes=True)
            try:
                for name, image in zip(wanted, images, strict=True):
                    self._push(repository, name, image)
                    self._pushed(name.familiar)
            except RegistryError as error:
                raise push_error(error, reference) from error
            return

    def _tags(self, reference: Reference) -> list[Reference]:
        names = [references.parse(tag) for image in self._store.list() for tag in image.tags]
        found = [name for name in names if name.repository == reference.repository]
        if not found:
            raise NotFoundError(
                f"An image does not exist locally with the tag: {reference.repository}"
            )
        return sorted(found)

    def _image(self, name: Reference) -> Image:
        try:
            return self._store.resolve(name.familiar)
        except NotFoundError:
            raise NotFoundError(
                f"An image does not exist locally with the tag: {name.familiar}. Give an image "
                f"this name first: docker tag IMAGE {name.familiar}"
            ) from None

    def _push(self, repository: Repository, name: Reference, image: Image) -> None:
        shorts = [diff_id[7 : 7 + SHORT_DIGITS] for diff_id in image.diff_ids]
        for short in shorts:
            self._progress.state(short, "Preparing")
        with self._store.draft() as draft:
            descriptor, data = self._push_index(repository, draft, image) or self._push_one(
                repository, draft, image, shorts
            )
            repository.put_manifest(name.tag, descriptor, data)
            self._store.note_digest(image, f"{name.repository}@{descriptor.digest}")
        self._progress.say(f"{name.tag}: digest: {descriptor.digest} size: {descriptor.size}")
        self._progress.result(
            {"Tag": name.tag, "Digest": descriptor.digest, "Size": descriptor.size}
        )

    def _push_one(
        self, repository: Repository, draft: Draft, image: Image, shorts: list[str]
    ) -> tuple[Descriptor, bytes]:
        """Push the image for this machine except for its manifest, which is returned."""
        layers = self._layers(draft, image)
        in_order = [layers[layer.digest] for layer in image.manifest.layers]
        self._push_layers(repository, dict(zip(shorts, in_order, strict=True)))
        self._push_config(repository, image.manifest.config)
        manifest = replace(image.manifest, layers=[layer.descriptor for layer in in_order])
        return self._manifest(image, manifest)

    def _push_index(
        self, repository: Repository, draft: Draft, image: Image
    ) -> tuple[Descriptor, bytes] | None:
        """Push all images of an index, and return it; None if it is none, or not all are here."""
        entry = self._store.entry(image)
        if entry.media_type not in models.INDEXES:
            return None
        data = self._store.blob_bytes(entry.digest)
        images = members(msgspec.json.decode(data, type=Index))
        if len(images) < 2 or not all(map(draft.has_blob, self._store.blobs_of([entry]))):
            return None
        for each in images:
            document = self._store.blob_bytes(each.digest)
            manifest = msgspec.json.decode(document, type=Manifest)
            layers = {
                layer.digest[7 : 7 + SHORT_DIGITS]: _Layer(self._store, layer, "")
                for layer in manifest.layers
            }
            self._push_layers(repository, layers)
            self._push_config(repository, manifest.config)
            repository.put_manifest(each.digest, each, document)
        return Descriptor(entry.media_type, entry.digest, entry.size), data

    def _layers(self, draft: Draft, image: Image) -> "dict[str, _Layer]":
        """Return the image's layers by digest.  The draft keeps them in the store until it ends."""
        for blob in (image.manifest.config, *image.manifest.layers):
            draft.has_blob(blob.digest)
        return {
            layer.digest: _Layer(self._store, layer, draft.place(layer.digest[7:]))
            for layer in image.manifest.layers
        }

    def _manifest(self, image: Image, manifest: Manifest) -> tuple[Descriptor, bytes]:
        """Return the manifest to send: byte for byte the image's own, unless layers changed."""
        media_type = manifest.media_type or models.MANIFEST
        if manifest != image.manifest:
            return encode(manifest, media_type)
        data = self._store.blob_bytes(image.digest)
        if msgspec.json.decode(data, type=models.Kind).is_index():
            index = msgspec.json.decode(data, type=Index)
            data = self._store.blob_bytes(for_this_machine(index).digest)
        return Descriptor(media_type, digest_of(data), len(data)), data

    def _push_config(self, repository: Repository, config: Descriptor) -> None:
        if repository.has_blob(config.digest):
            return
        upload = repository.upload(
            config, lambda: self._store.open_blob(config.digest), lambda sent: None
        )
        upload.send()

    def _push_layers(self, repository: Repository, layers: "dict[str, _Layer]") -> None:
        with ThreadPoolExecutor(self._access.settings.max_concurrent_uploads) as pool:
            futures = [
                pool.submit(self._push_layer, repository, short, layer)
                for short, layer in layers.items()
            ]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._progress.stop.set()  # the other uploads are of no use
                pool.shutdown(cancel_futures=True)
                raise

    def _push_layer(self, repository: Repository, short: str, layer: "_Layer") -> None:
        sources = self._sources(repository, layer.descriptor.digest)
        layer.compress()
        blob = layer.descriptor
        if repository.has_blob(blob.digest):
            self._progress.state(short, "Layer already exists")
            return
        upload = repository.upload(
            blob,
            layer.open,
            lambda sent: self._progress.advance(short, "Pushing", sent, blob.size),
        )
        source = upload.mount(sources)
        if source:
            self._progress.state(short, f"Mounted from {source}")
            return
        upload.send()
        self._progress.state(short, "Pushed")

    def _sources(self, repository: Repository, digest: str) -> list[str]:
        """Return other repositories of the same registry whose images here have this layer."""
        names = [
            references.parse(name)
            for image in self._store.list()
            if any(layer.digest == digest for layer in image.manifest.layers)
            for name in image.names
        ]
        paths = dict.fromkeys(name.path for name in names if name.domain == self._domain)
        return [path for path in paths if path != repository.path][:SOURCES_TRIED]


class _Layer:
    """A layer that is pushed."""

    def __init__(self, store: ImageStore, descriptor: Descriptor, path: str) -> None:
        """`path` is the place of a compressed copy; without one the layer is sent as it is."""
        self.descriptor = descriptor
        self._path = path
        self._open: Open = lambda: store.open_blob(descriptor.digest)

    def open(self) -> BinaryIO:
        """Open the bytes that are sent."""
        return self._open()

    def compress(self) -> None:
        """Make a gzip file of a layer that is kept plain; that file is then sent."""
        media_type = COMPRESSED.get(self.descriptor.media_type)
        if media_type is None or not self._path:
            return
        blob = GzipBlob(self._path)
        try:
            with self._open() as plain:
                while piece := plain.read(CHUNK_BYTES):
                    blob.write(piece)
            digest = blob.finish()
        finally:
            blob.close()
        self.descriptor = Descriptor(media_type, digest, blob.size_bytes)
        self._open = lambda: open(self._path, "rb")
