"""`python -m tests.matrix [--record] [WORD…]`: say the cases that have a word in their names."""

import sys

from bench.systems import every
from tests.lab import remove_template, running_lab
from tests.matrix import cases, comparison
from tests.matrix.conversation import Answers, hold
from tests.matrix.differences import OLDER
from tests.matrix.speakers import TO_LABKIT, to_docker
from tests.oracle import running_oracle


def main(words: list[str]) -> None:
    """Print every difference that is not listed, or record the answers of each dockerd here."""
    wanted = [word for word in words if not word.startswith("--")]
    chosen = [
        case for case in cases.read() if not wanted or any(word in case.name for word in wanted)
    ]
    if "--record" in words:
        for system in every():
            with running_oracle(system) as oracle:
                comparison.record(oracle.version(), hold(to_docker(oracle), cases.read()))
    recorded = comparison.recorded()
    docker = recorded[max(recorded)]
    _show(OLDER, docker, recorded[min(recorded)])
    for name in TO_LABKIT:
        with running_lab() as lab:
            _show(name, docker, hold(TO_LABKIT[name](lab), chosen))
    remove_template()


def _show(name: str, docker: Answers, answers: Answers) -> None:
    for key, answer in answers.items():
        found = comparison.differences(name, key, docker[key], answer)
        new = [f"    {line}" for line, listed in found if not listed]
        if new:
            print(f"{name} | {key}", *new, sep="\n", flush=True)


main(sys.argv[1:])
