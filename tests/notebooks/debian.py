"""Make the image `debian` as an archive: `python -m tests.notebooks.debian FILE`.

The machine of the tests has no network, so it loads what was made outside (`READY_DEBIAN`).
"""

import sys

from tests.lab import remove_template, running_lab
from tests.notebooks.places import make_debian

SAVE_TIMEOUT_S = 300


def main(archive: str) -> None:
    """Write the archive."""
    try:
        with running_lab() as lab:
            make_debian(lab)
            lab.cli("save", "-o", archive, "debian", check=True, timeout=SAVE_TIMEOUT_S)
    finally:
        remove_template()


if __name__ == "__main__":
    main(sys.argv[1])
