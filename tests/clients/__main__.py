"""`python -m tests.clients`: run the suites against both engines, and compare."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.clients import differences, results
from tests.clients.engines import ENGINES, running
from tests.clients.images import serving_images
from tests.clients.suites import SUITES, Suite
from tests.lab import PROJECT, remove_template

USUAL_SOCKET = "/run/docker.sock"
"""Some tests ask there, whatever DOCKER_HOST says."""
ONE_TEST_S = 120
"""The longest time that one test of a suite may take."""


def main() -> int:
    """Run what the arguments name; return 1 if labkit misses a test that dockerd passes.

    Those with a reason (`differences`) do not count.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--place", type=Path, default=Path(sys.prefix, "share/labkit/clients"))
    parser.add_argument("--suite", choices=[suite.name for suite in SUITES], action="append")
    parser.add_argument("--engine", choices=list(ENGINES), action="append")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help="more words for pytest")
    options = parser.parse_args()
    options.place.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in SUITES if each.name in (options.suite or [each.name])]
    if not options.inside:
        for suite in chosen:
            suite.prepare(options.place)
        # The engines' bridges and rules, and the usual place of the socket, stay off this machine.
        again = [sys.executable, "-m", "tests.clients", "--inside", *sys.argv[1:]]
        return subprocess.run(["unshare", "-n", "-m", *again], cwd=PROJECT, check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    try:
        for engine in options.engine or ENGINES:
            with serving_images() as mirror, running(engine, mirror) as host:
                Path(USUAL_SOCKET).unlink(missing_ok=True)
                Path(USUAL_SOCKET).symlink_to(host.removeprefix("unix://"))
                for suite in chosen:
                    run(suite, engine, host, options.place, options.words)
    finally:
        remove_template()
    return max(compare(suite, options.place) for suite in chosen)


def run(suite: Suite, engine: str, host: str, place: Path, words: list[str]) -> None:
    """Run a suite against an engine; its output and results become files in the folder."""
    log = place / f"{suite.name}-{engine}.log"
    command = [suite.python(place), "-m", "pytest", "-p", "no:cacheprovider"]
    command += [f"--timeout={ONE_TEST_S}", f"--junit-xml={log.with_suffix('.xml')}"]
    with log.open("wb") as output:
        subprocess.run(
            [*command, *suite.options, *(words or [suite.tests])],
            cwd=suite.folder(place),
            env=os.environ | {"DOCKER_HOST": host, "HOME": str(place), **dict(suite.environment)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )


def compare(suite: Suite, place: Path) -> int:
    """Print the counts of the last runs, and what labkit misses; return 1 if unexplained."""
    files = {engine: place / f"{suite.name}-{engine}.xml" for engine in ENGINES}
    found = {engine: results.read(path) for engine, path in files.items() if path.exists()}
    for engine, result in found.items():
        print(f"{suite.name} with {engine}: {results.counts(result)}")
    if len(found) < len(ENGINES):
        return 0
    missed = results.missed(found["dockerd"], found["labkit"])
    for name in missed:
        print(f"  missed: {name}: {differences.reason(name) or 'UNEXPLAINED'}")
    return int(not all(map(differences.reason, missed)))


if __name__ == "__main__":
    sys.exit(main())
