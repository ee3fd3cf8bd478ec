"""The image `debian`: a minimal system made by mmdebstrap from this machine's package sources.

On Debian it is the machine's own release, from the archive that the machine uses.  On Ubuntu it is
a fixed Debian release, from mmdebstrap's default archive; if that cannot be reached, the machine's
own release becomes the image `ubuntu` instead, and a line says so.
"""

import platform
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

from labkit.images.base.bootstrap import Bootstrap, System
from labkit.images.base.recipe import (
    PATH,
    BaseImageError,
    Progress,
    image_there,
    is_current,
    label_change,
)
from labkit.images.image import Image
from labkit.images.store import ImageStore

RECIPE = 1  # counts up when the options below change, so that old images are made again
DEBIAN = System("debian", "bookworm", is_this_machine=False)


def build_debian(store: ImageStore, progress: Progress, *, refresh: bool = False) -> Image:
    """Make `debian:latest` and `debian:<suite>`, unless made this week from the same sources.

    If that fails but an older image exists, that one is kept.  Raises `BaseImageError` if there is
    none.
    """
    release = platform.freedesktop_os_release()
    own = System(release["ID"], release.get("VERSION_CODENAME", ""), is_this_machine=True)
    system = own if own.distribution == "debian" else DEBIAN
    try:
        return _build_or_keep(store, system, progress, refresh=refresh)
    except BaseImageError as error:
        if own.distribution != "ubuntu":
            raise
        progress(f"debian: {error}")
        progress("debian: there will be no image debian; the image ubuntu replaces it")
        return _build_or_keep(store, own, progress, refresh=refresh)


def _build_or_keep(
    store: ImageStore, system: System, progress: Progress, *, refresh: bool
) -> Image:
    monday = this_monday()
    ingredients = f"{system.distribution} {RECIPE} {system.suite} {monday:%Y-%m-%d}"
    name = f"{system.distribution}:{system.suite}"
    there = image_there(store, name)
    if there and is_current(there, ingredients) and not refresh:
        progress(f"{name}: it exists already")
        return there
    try:
        image = _build(store, system, monday, ingredients, progress)
    except BaseImageError as error:
        if there is None:
            raise
        progress(f"{name}: {error}")
        progress(f"{name}: the image of {there.created} is kept")
        return there
    store.tag(image.id, f"{system.distribution}:latest")
    return store.resolve(image.id)


def _build(
    store: ImageStore, system: System, monday: datetime, ingredients: str, progress: Progress
) -> Image:
    name = f"{system.distribution}:{system.suite}"
    progress(f"{name}: making it from packages, which takes half a minute or so")
    bootstrap = Bootstrap(system, monday, lambda line: progress(f"{name}: {line}"))
    try:
        image = store.import_tar(
            cast(BinaryIO, bootstrap),
            name,
            ['CMD ["bash"]', PATH, label_change(ingredients)],
            f"labkit: {system.distribution} {system.suite} by mmdebstrap",
            created=f"{monday:%Y-%m-%dT%H:%M:%SZ}",
        )
    finally:
        bootstrap.close()
    progress(f"{name}: {image.size_bytes / 1e6:.0f} MB")
    return image


def this_monday() -> datetime:
    """Return the week's first moment (UTC): the newest time that a file of the image may have."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=now.weekday())
