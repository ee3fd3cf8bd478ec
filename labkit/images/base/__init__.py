"""Base images made on this machine, for a lab without the internet: `busybox` and `debian`."""

from labkit.images.base.busybox import build_busybox
from labkit.images.base.debian import build_debian

__all__ = ["build_busybox", "build_debian"]
