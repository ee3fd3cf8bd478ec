"""`python -m labkit.daemon`: start labkitd, serve until SIGTERM, leave the containers running.

Without power over the machine (CAP_SYS_ADMIN) it first becomes root of a user namespace of its own.
"""

import argparse
import os
import sys

from labkit.errors import LabkitError
from labkit.kernel import power
from labkit.paths import Paths, search_sbin
from labkit.rootless import entering


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="labkitd", description="labkit's daemon")
    parser.add_argument("--root", help="data root (else LABKIT_ROOT, else /var/lib/labkit)")
    parser.add_argument("--run", help="run folder (else LABKIT_RUN, else /run/labkit)")
    parser.add_argument(
        "--userns-remap",
        default="",
        metavar="USER[:GROUP]",
        help="give containers users of their own: these ids of /etc/subuid, or `default`",
    )
    parser.add_argument(
        "--storage-driver",
        default="",
        metavar="DRIVER",
        help="how a new data root keeps layers: overlayfs, loop or copies (default: what works)",
    )
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help="write one line to this descriptor, and close it, once requests are answered",
    )
    return parser.parse_args()


def main() -> int:
    """The exit status: 0 after a signal, 1 when the daemon could not start."""
    arguments = _arguments()
    search_sbin()
    os.umask(0o022)  # a container's own folders get the modes that are asked for
    try:
        paths = Paths.from_environment(arguments.root, arguments.run)
        if not power.has_admin():
            entering.enter(paths)
        # A process without the power does not come here, so it need not load all this.
        from labkit.daemon import serving  # noqa: PLC0415

        serving.run(paths, arguments)
    except (LabkitError, OSError) as error:
        sys.stderr.write(f"labkitd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    exit_status = main()
    sys.stderr.flush()
    # Not by sys.exit, which waits for every thread: one that builds waits for a container's end,
    # of which this daemon no longer hears.  The next one clears away what such a build has left.
    os._exit(exit_status)
