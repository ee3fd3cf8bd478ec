"""`python -m labkit.course.experiments cpu_shares --runs 20`: an experiment, many times over.

Prints each run and a verdict; the exit status is 0 when every run held, 1 when one did not.
Nothing is plotted, so nothing that plots is imported.
"""

import argparse
import sys
from collections.abc import Callable

from labkit.course.experiments.cpu_result import TOLERANCE
from labkit.course.experiments.cpu_run import cpu_shares
from labkit.errors import LabkitError


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment the arguments name; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.course.experiments", description=__doc__
    )
    experiments = parser.add_subparsers(dest="experiment", required=True, metavar="EXPERIMENT")
    shares = experiments.add_parser("cpu_shares", help="CPU time in proportion to --cpu-shares")
    shares.add_argument("--runs", type=int, default=1, help="how often (default 1)")
    shares.add_argument("--seconds", type=float, default=6.0, help="length of a run (default 6)")
    shares.add_argument(
        "--weights", type=_numbers, default=(1024, 512), help="shares, such as 1024,512"
    )
    options = parser.parse_args(arguments)
    try:
        return EXPERIMENTS[options.experiment](options)
    except LabkitError as error:
        print(f"{options.experiment}: {error}", file=sys.stderr)
        return 1


def _cpu_shares(options: argparse.Namespace) -> int:
    held = 0
    for number in range(1, options.runs + 1):
        result = cpu_shares(options.weights, options.seconds)
        held += result.holds
        verdict = "ok" if result.holds else f"MORE THAN {TOLERANCE:.0%} OFF"
        print(f"run {number:2}/{options.runs}  {result}  {verdict}", flush=True)
    print(f"{held} of {options.runs} runs within {TOLERANCE:.0%} of what was asked")
    return 0 if held == options.runs else 1


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


EXPERIMENTS: dict[str, Callable[[argparse.Namespace], int]] = {"cpu_shares": _cpu_shares}

if __name__ == "__main__":
    sys.exit(main())
