"""Images: an OCI layout on disk, read-only layers unpacked for overlay, names and tags."""

from labkit.images.drafts import Draft, LayerInfo
from labkit.images.image import Image
from labkit.images.models import RuntimeConfig
from labkit.images.store import ImageStore

__all__ = ["Draft", "Image", "ImageStore", "LayerInfo", "RuntimeConfig"]
