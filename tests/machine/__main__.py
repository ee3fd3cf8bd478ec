"""`python -m tests.machine [OPTIONS] COMMAND…`: run a command in a machine with cgroup v2.

One argument is a line for the shell; several are a command and its arguments.  The exit status is
the command's, or 125 when the machine could not be built, died, or took too long.
"""

import argparse
import os
import shlex
import signal
import sys
from types import FrameType
from typing import NoReturn

from labkit.errors import LabkitError
from tests.machine.session import Options, run

MACHINE_FAILED = 125


def _parser() -> argparse.ArgumentParser:
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m tests.machine",
        description="Run a command in a throw-away QEMU machine: this machine's files, read-only,"
        " under the distribution's own kernel with cgroup v2. TMPDIR lies on an ext4 disk.",
    )
    parser.add_argument("--cpus", type=int, default=default.cpus, help="default: %(default)s")
    parser.add_argument(
        "--memory", type=int, default=default.memory_mib, metavar="MIB", help="default: %(default)s"
    )
    parser.add_argument(
        "--scratch",
        type=int,
        default=default.scratch_mib,
        metavar="MIB",
        help="size of the disk at /scratch; default: %(default)s",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=default.timeout_s,
        metavar="S",
        help="end the machine after so many seconds; default: %(default)g",
    )
    parser.add_argument("--emulate", action="store_true", help="do not use KVM even if it is there")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    given = parser.parse_args()
    if not given.command:
        parser.error("which COMMAND?")
    command = given.command[0] if len(given.command) == 1 else shlex.join(given.command)
    signal.signal(signal.SIGTERM, _terminated)
    options = Options(given.cpus, given.memory, given.scratch, given.timeout, given.emulate)
    try:
        return run(command, os.environ, options)
    except LabkitError as error:
        print(f"tests.machine: {error}", file=sys.stderr)
        return MACHINE_FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
