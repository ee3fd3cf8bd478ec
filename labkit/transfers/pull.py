"""`docker pull`: a manifest, its config and its layers, from a registry into the store."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import ImageStore, platforms
from labkit.images.drafts import Draft
from labkit.images.models import Descriptor, ImageConfig, Manifest, Platform
from labkit.images.references import Reference
from labkit.registry.client.errors import RegistryError
from labkit.registry.client.manifests import Received
from labkit.registry.client.repository import Repository
from labkit.transfers.progress import Progress
from labkit.transfers.remotes import Access, asked

SHORT_DIGITS = 12


class Puller:
    """Pulls images into a store, telling `progress`; `platform` is empty for this machine's.

    `pulled` is called with the name of each image that has come.
    """

    def __init__(
        self,
        store: ImageStore,
        progress: Progress,
        access: Access,
        *,
        platform: str = "",
        pulled: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._store = store
        self._progress = progress
        self._access = access
        self._platform = platforms.parse(platform)
        self._is_platform_given = bool(platform)
        self._pulled = pulled

    def pull(self, reference: Reference) -> None:
        """Pull one image, by its tag or digest.

        Raises `NotFoundError` in Docker's words, `RegistryError`, `UnreachableError`, and what the
        store says of a hostile image.
        """
        with self._found(reference) as (repository, received):
            self._pull(repository, reference, received)

    def pull_all(self, reference: Reference) -> None:
        """Pull every tag of a repository."""
        stop = self._progress.stop
        with asked(reference, self._access, stop, lambda found: list(found.tags())) as (_, tags):
            pass
        for tag in tags:
            self.pull(reference._replace(tag=tag, digest=""))

    def _found(self, reference: Reference) -> AbstractContextManager[tuple[Repository, Received]]:
        """Give the repository that has the image, a mirror's first, and its manifest."""
        wanted = reference.digest or reference.tag
        return asked(
            reference, self._access, self._progress.stop, lambda found: found.manifest(wanted)
        )

    def _pull(self, repository: Repository, reference: Reference, received: Received) -> None:
        say = self._progress.say
        path, digest = reference.path, reference.digest
        say(f"Pulling from {path}", reference.tag or f"{reference.domain}/{path}@{digest}")
        before = self._current(reference)
        by_digest = reference._replace(tag="", digest=received.descriptor.digest)
        names = list(dict.fromkeys((reference.familiar, by_digest.familiar)))
        with self._store.draft() as draft:
            chosen = self._chosen(repository, received)
            self._fill(draft, repository, chosen.as_manifest())
            whole = received
            if received.is_index and not self._is_own():
                whole = chosen  # the store takes an index for this machine's image in it
            elif received.is_index:
                draft.add_document(chosen.data, chosen.descriptor.media_type)
            image = draft.commit_manifest(whole.descriptor, whole.data, names=names)
        say(f"Digest: {received.descriptor.digest}")
        news = "Image is up to date" if image.id == before else "Downloaded newer image"
        say(f"Status: {news} for {reference.familiar}")
        self._pulled(reference.familiar)

    def _current(self, reference: Reference) -> str:
        try:
            return self._store.resolve(reference.familiar).id
        except NotFoundError:
            return ""

    def _is_own(self) -> bool:
        return platforms.same(self._platform, platforms.own_platform())

    def _chosen(self, repository: Repository, received: Received) -> Received:
        """Return the image for the platform if this is an index, else the image itself."""
        if not received.is_index:
            return received
        entry = platforms.choose(received.as_index().manifests, self._platform)
        chosen = repository.manifest(entry.digest)
        if chosen.is_index:
            raise RegistryError(200, "MANIFEST_INVALID", f"{entry.digest} is an index in an index")
        return chosen

    def _fill(self, draft: Draft, repository: Repository, manifest: Manifest) -> None:
        """Bring config and layers into the draft, some layers at a time, and unpack in order."""
        config = self._config(draft, repository, manifest)
        if len(config.rootfs.diff_ids) != len(manifest.layers):
            raise InvalidParameterError(
                f"the image has {len(manifest.layers)} layers, and its config names "
                f"{len(config.rootfs.diff_ids)}: it is damaged, or was made to deceive"
            )
        layers = list({layer.digest: layer for layer in manifest.layers}.values())
        fetch = [layer for layer in layers if not draft.has_blob(layer.digest)]
        for layer in layers:
            is_new = layer in fetch
            self._progress.state(_short(layer), "Pulling fs layer" if is_new else "Already exists")
        with ThreadPoolExecutor(self._access.settings.max_concurrent_downloads) as pool:
            coming = {
                layer.digest: pool.submit(
                    self._download, repository, layer, draft.place(_hex(layer))
                )
                for layer in fetch
            }
            try:
                self._unpack(draft, manifest, config, coming)
            except BaseException:
                self._progress.stop.set()  # the other downloads are of no use
                pool.shutdown(cancel_futures=True)
                raise

    def _unpack(
        self,
        draft: Draft,
        manifest: Manifest,
        config: ImageConfig,
        coming: dict[str, "Future[None]"],
    ) -> None:
        diff_ids = config.rootfs.diff_ids
        for height, layer in enumerate(manifest.layers, 1):
            fetched = coming.pop(layer.digest, None)
            if fetched:
                fetched.result()
                draft.adopt_blob(draft.place(_hex(layer)), layer)
                self._progress.advance(_short(layer), "Extracting", 0, layer.size)
            draft.unpack_layer(layer, diff_ids[:height])
            if fetched:
                self._progress.advance(_short(layer), "Extracting", layer.size, layer.size)
                self._progress.state(_short(layer), "Pull complete")

    def _config(self, draft: Draft, repository: Repository, manifest: Manifest) -> ImageConfig:
        """Get the config; NotFoundError if the image is for another platform than was asked for."""
        if not draft.has_blob(manifest.config.digest):
            path = draft.place(_hex(manifest.config))
            repository.download(manifest.config, path, lambda size: None)
            draft.adopt_blob(path, manifest.config)
        data = self._store.blob_bytes(manifest.config.digest)
        try:
            config = msgspec.json.decode(data, type=ImageConfig)
        except UNREADABLE as error:
            raise InvalidParameterError(
                f"this is not an image that can be run: its config cannot be read ({error})"
            ) from None
        actual = Platform(config.architecture, config.os, config.variant)
        if self._is_platform_given and not platforms.runs_on(actual, self._platform):
            raise NotFoundError(
                "the image was found but does not match the specified platform: wanted "
                f"{platforms.words(self._platform)}, actual: {platforms.words(actual)}"
            )
        return config

    def _download(self, repository: Repository, layer: Descriptor, path: str) -> None:
        short, progress = _short(layer), self._progress

        def tell(size: int) -> None:
            progress.advance(short, "Downloading", size, layer.size)
            if size == layer.size:
                progress.state(short, "Verifying Checksum")

        repository.download(layer, path, tell)
        progress.state(short, "Download complete")


def _hex(blob: Descriptor) -> str:
    return blob.digest.removeprefix("sha256:")


def _short(blob: Descriptor) -> str:
    return _hex(blob)[:SHORT_DIGITS]
