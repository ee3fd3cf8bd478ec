"""`python -m labkit.course.experiments cpu_shares --runs 20`: an experiment, many times over.

It prints each run and a verdict; the exit status is 0 if every run held, 1 if one did not.
Nothing is plotted, so nothing that plots is imported.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from labkit.course.limits.cpu_result import TOLERANCE
from labkit.course.limits.cpu_run import cpu_shares
from labkit.course.limits.disk_run import disk_rates, disk_weights
from labkit.course.limits.memory_run import memory_to_the_limit
from labkit.errors import LabkitError


class Result(Protocol):
    """The common part of the experiments' results: a verdict, and the finding as a string."""

    @property
    def holds(self) -> bool:
        """Whether the finding is as expected."""
        ...


class Experiment(NamedTuple):
    """An experiment as a command: its function, its purpose, and its flags."""

    run: Callable[..., Result]
    summary: str
    flags: Mapping[str, Mapping[str, Any]]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _fractions(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


EXPERIMENTS = {
    "cpu_shares": Experiment(
        cpu_shares,
        "CPU time in proportion to --cpu-shares, and at most --cpus",
        {
            "seconds": {"type": float, "default": 6.0, "help": "length of a run (default 6)"},
            "weights": {
                "type": _numbers,
                "default": (1024, 512),
                "help": "--cpu-shares of each, such as 1024,512",
            },
            "ceilings": {
                "type": _fractions,
                "default": (),
                "help": "--cpus of each, such as 0.25,0; 0 for none",
            },
        },
    ),
    "disk_rates": Experiment(
        disk_rates,
        "what --device-write-bps does past the page cache and behind it, on the lab disk",
        {"limit-mib": {"type": int, "default": 5, "help": "MiB per second (default 5)"}},
    ),
    "disk_weights": Experiment(
        disk_weights,
        "what each reads from the lab disk, in proportion to --blkio-weight",
        {
            "seconds": {"type": float, "default": 5.0, "help": "length of a run (default 5)"},
            "weights": {
                "type": _numbers,
                "default": (600, 300),
                "help": "--blkio-weight of each, such as 600,300",
            },
        },
    ),
    "memory_to_the_limit": Experiment(
        memory_to_the_limit,
        "more and more memory, until the kernel kills at -m and --memory-swap",
        {
            "memory-mib": {"type": int, "default": 64, "help": "-m (default 64)"},
            "swap-mib": {"type": int, "default": 32, "help": "swap beyond it (default 32)"},
        },
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment that the arguments name; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.course.experiments", description=__doc__
    )
    commands = parser.add_subparsers(dest="experiment", required=True, metavar="EXPERIMENT")
    for name, experiment in EXPERIMENTS.items():
        command = commands.add_parser(name, help=experiment.summary)
        command.add_argument("--runs", type=int, default=1, help="how often (default 1)")
        for flag, details in experiment.flags.items():
            command.add_argument(f"--{flag}", **details)
    options = vars(parser.parse_args(arguments))
    name, runs = options.pop("experiment"), options.pop("runs")
    try:
        return _repeat(lambda: EXPERIMENTS[name].run(**options), runs)
    except LabkitError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def _repeat(run: Callable[[], Result], runs: int) -> int:
    held = 0
    for number in range(1, runs + 1):
        result = run()
        held += result.holds
        verdict = "ok" if result.holds else f"MORE THAN {TOLERANCE:.0%} OFF"
        print(f"run {number:2}/{runs}  {result}  {verdict}", flush=True)
    print(f"{held} of {runs} runs within {TOLERANCE:.0%} of the requested values")
    return 0 if held == runs else 1


if __name__ == "__main__":
    sys.exit(main())
