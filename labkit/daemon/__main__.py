"""`python -m labkit.daemon`: start labkitd and serve until SIGTERM; the containers keep running.

Without power over the machine (CAP_SYS_ADMIN) it first becomes root of a user namespace.
"""

import argparse
import os
import sys

from labkit.dialect.daemon_options import BOOL, OPTIONS
from labkit.errors import LabkitError
from labkit.kernel import power
from labkit.paths import Paths, search_sbin
from labkit.rootless import entering


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="labkitd", description="labkit's daemon", allow_abbrev=False
    )
    parser.add_argument("--root", help="data root (else LABKIT_ROOT, else /var/lib/labkit)")
    parser.add_argument("--run", help="run folder (else LABKIT_RUN, else /run/labkit)")
    parser.add_argument(
        "--config-file",
        metavar="PATH",
        help="file with options (else daemon.json in the data root)",
    )
    parser.add_argument(
        "--validate", action="store_true", help="check the options and the file, and end"
    )
    for option in OPTIONS:
        names = [f"--{option.flag_name}", *([f"-{option.short}"] if option.short else [])]
        given = parser.add_argument(
            *names,
            dest=f"option:{option.flag_name}",
            action="append",
            default=[],
            help=option.help,
            metavar=option.kind.upper(),
        )
        if option.kind == BOOL:
            given.nargs, given.const = "?", "true"
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help="write one line to this descriptor, and close it, once requests are answered",
    )
    return parser.parse_args()


def main() -> int:
    """Run the daemon; the exit status is 0 after a signal, 1 if the daemon could not start."""
    arguments = _arguments()
    search_sbin()
    os.umask(0o022)  # containers' folders must get exactly the modes that labkit asks for
    given = {o.flag_name: getattr(arguments, f"option:{o.flag_name}") for o in OPTIONS}
    try:
        root = arguments.root or (given["data-root"] or [""])[-1]
        paths = Paths.from_environment(root, arguments.run)
        if arguments.validate:
            return validate(paths, given, arguments.config_file)
        if not power.has_admin():
            entering.enter(paths)
        # `enter` replaces this process by another, so only that one has to load all this.
        from labkit.daemon import serving  # noqa: PLC0415

        serving.run(paths, given, arguments.config_file, arguments.ready_fd)
    except (LabkitError, OSError) as error:
        is_path = isinstance(error, PermissionError) and error.filename
        remedy = ": name other folders (LABKIT_ROOT, LABKIT_RUN)" if is_path else ""
        sys.stderr.write(f"labkitd: {error}{remedy}\n")
        return 1
    return 0


def validate(paths: Paths, given: dict[str, list[str]], config_file: str | None) -> int:
    """Check the options and the file, and print the result; the exit status.  LabkitError."""
    from labkit.daemon import settings  # noqa: PLC0415 as above

    source = settings.source(paths.root, given, config_file)
    _, warnings = source.read()
    for warning in warnings:
        sys.stderr.write(f"WARNING: {warning}\n")
    print("configuration OK", flush=True)  # os._exit flushes nothing
    return 0


if __name__ == "__main__":
    exit_status = main()
    sys.stderr.flush()
    # Not sys.exit, which waits for every thread: one that builds waits for a container's end, which
    # this daemon no longer learns of.  The next daemon removes what such a build has left.
    os._exit(exit_status)
