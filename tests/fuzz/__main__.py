"""`python -m tests.fuzz NAME [--minutes N | --cases N] [--seed N] [--first N]`."""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.fuzz import archives, dockerfiles, ignored, requests, runner, shims

TARGETS: dict[str, Callable[[], AbstractContextManager[runner.Target]]] = {
    "archives": archives.opened,
    "dockerfiles": dockerfiles.opened,
    "ignored": ignored.opened,
    "requests": requests.opened,
    "shims": shims.opened,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    asked = parser.parse_args()
    with TARGETS[asked.name]() as target:
        result = runner.run(
            target, asked.seed, first=asked.first, cases=asked.cases, minutes=asked.minutes
        )
    print(result)
    for finding in result.findings:
        print(finding)
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
