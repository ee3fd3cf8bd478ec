"""`python -m labkit.images.base [busybox] [debian] [--root FOLDER] [--refresh]`.

It may run beside a labkitd on the same data root: the store's lock covers every write, and the
daemon sees the new index when it next reads it.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from labkit import snapshots
from labkit.errors import LabkitError
from labkit.images.base import build_busybox, build_debian
from labkit.images.store import ImageStore
from labkit.paths import Paths, search_sbin

BUILDERS = {"busybox": build_busybox, "debian": build_debian}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the named images, or all of them; return 0, or 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.images.base", description="Make the lab's base images."
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(BUILDERS)}")
    parser.add_argument("--root", help="labkit's data root (default: LABKIT_ROOT, /var/lib/labkit)")
    parser.add_argument("--refresh", action="store_true", help="make them even if they exist")
    options = parser.parse_args(arguments)
    unknown = set(options.images) - set(BUILDERS)
    if unknown:
        parser.error(f"no such base image: {', '.join(sorted(unknown))}")
    if os.geteuid():
        print(
            "labkit: only root can unpack an image: use sudo; or, for your own engine, put "
            "`python -m labkit.rootless` before this command",
            file=sys.stderr,
        )
        return 1
    search_sbin()
    os.umask(0o022)  # these files are an image's content
    try:
        root = os.path.realpath(Paths.from_environment(root=options.root).root)
        with snapshots.opened(root):
            store = ImageStore(root)
            for name in options.images or BUILDERS:
                start_s = time.monotonic()
                image = BUILDERS[name](store, _say, refresh=options.refresh)
                _say(f"{name}: {image.id[7:19]} after {time.monotonic() - start_s:.1f} s")
    except (LabkitError, OSError) as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
