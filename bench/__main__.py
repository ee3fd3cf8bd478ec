"""`python -m bench`: measure, print the tables, write them to bench/RESULTS.md."""

import argparse
import compileall
import os
import signal
import sys
from pathlib import Path

import labkit
from bench.session import measure

RESULTS = Path(__file__).parent / "RESULTS.md"
INTERRUPTED = 130


def main() -> int:
    """Run the command line; return 0 even if an aim is missed, which the tables show."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure labkit beside crun, runc, docker and podman."
    )
    parser.add_argument("--rounds", type=int, default=50, help="runs of each; default: %(default)s")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="file for the tables; default: %(default)s"
    )
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it runs containers, which needs root: use sudo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # If Python writes no bytecode, every command would compile labkit again.
    compileall.compile_dir(os.path.dirname(labkit.__file__), quiet=2)
    try:
        text = measure(arguments.rounds, _progress)
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\n{text}")
    arguments.output.write_text(text)
    print(f"Written to {arguments.output}.")
    return 0


def _progress(what: str) -> None:
    end = "" if sys.stderr.isatty() else "\n"
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}{what}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
