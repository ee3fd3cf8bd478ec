"""Two images for each case that wants them, in a registry: the same bytes, whoever pulls them."""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from labkit.images import ImageStore
from tests.images import archive, entry, temporary_folder
from tests.lab import template_root
from tests.registries import CONFIG, LAYER, MANIFEST, LabkitRegistry, as_bytes, descriptor

REPOSITORY = "~"
"""What stands in a case for its own repository, with the tags `one` and `two`."""
NAMES = ("one", "two")
LAYER_GZIP = f"{LAYER}+gzip"


class Images:
    """A running registry."""

    def __init__(self, folder: str) -> None:
        root = template_root()
        self._base = ImageStore(root).resolve("busybox")
        (layer,) = self._base.layers
        self._layer = Path(root, "images/blobs", layer.digest.replace(":", "/")).read_bytes()
        self.registry = LabkitRegistry(folder)

    def signs(self, tag: str) -> Mapping[str, str]:
        """Push a case's images; the signs for their names.  They have a label `tag`."""
        signs = {f"#{name}": f"@{self._push(tag, name)}" for name in NAMES}
        return signs | {REPOSITORY: f"{self.registry.address}/{tag}"}

    def _push(self, tag: str, name: str) -> str:
        """busybox with one more layer, which no other case has; the manifest's digest."""
        plain = archive(entry(name, content=name.encode()), entry(tag)).getvalue()
        layer = gzip.compress(plain, mtime=0)
        day = NAMES.index(name) + 1
        config = as_bytes(
            {
                "architecture": self._base.architecture,
                "os": "linux",
                "created": f"2024-01-0{day}T00:00:00Z",
                "config": {"Cmd": ["cat", f"/{name}"], "Labels": {tag: name}},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [*self._base.diff_ids, descriptor("", plain)["digest"]],
                },
                "history": [{"created_by": each} for each in ("base", name)],
            }
        )
        for blob in (self._layer, layer, config):
            self.registry.push_blob(tag, blob)
        layers = [descriptor(LAYER_GZIP, blob) for blob in (self._layer, layer)]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": layers,
        }
        return self.registry.push_manifest(tag, name, manifest, MANIFEST)


@contextmanager
def running_images() -> Iterator[Images]:
    """A registry, which ends with the block."""
    with temporary_folder() as folder:
        images = Images(str(folder))
        try:
            yield images
        finally:
            images.registry.end()
