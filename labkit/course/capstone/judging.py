"""The judge's own process: `python -m labkit.course.capstone.judging STAGE FILE`.

It prints its findings, as JSON.  The learner's file runs as other processes, in namespaces
that end with the judge; nothing of it is ever imported here.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping

from labkit.course.capstone import place as places
from labkit.course.capstone import stages_beyond, stages_files, stages_life, stages_process
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.place import Place
from labkit.course.page.scratch import scratch
from labkit.kernel import processes

Judge = Callable[[Place], Iterator[Finding]]

JUDGES: Mapping[int, tuple[str, Judge]] = {
    1: ("run, status, signals", stages_process.run),
    2: ("its own root", stages_process.root),
    3: ("numbers, /proc, an init", stages_process.numbers),
    4: ("its own name", stages_process.names),
    5: ("layers", stages_files.image),
    6: ("limits", stages_files.limits),
    7: ("powers", stages_files.powers),
    8: ("a cable", stages_beyond.network),
    9: ("its own life", stages_life.life),
    10: ("pull", stages_beyond.registry),
    11: ("its own users", stages_beyond.users),
    12: ("fifty runs", stages_beyond.fifty),
}
"""The stages, and fifty runs at the end: a name, and the judge."""
TIMEOUT_S = 240.0


def judge(stage: int, engine: str) -> list[Finding]:
    """Return the findings of a stage's judge about the engine in a file; it needs root.

    A judge that itself fails gives that as its last finding.
    """
    command = [sys.executable, "-m", "labkit.course.capstone.judging", str(stage), engine]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said, errors = process.communicate(timeout=TIMEOUT_S)
    except BaseException:
        process.terminate()
        process.communicate()
        raise
    if process.returncode or not said:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it was killed"]
        return [Finding("the judge", "could look", f"could not: {last[0]}")]
    return [Finding(*fields) for fields in json.loads(said)]


def main(stage: int, engine: str) -> int:
    """Judge in a new PID namespace, and print the findings."""
    group = f"mini-judge-{os.getpid()}"
    with scratch("mini") as folder, places.removed(group):
        middle = os.fork()
        if middle == 0:
            os._exit(_leave(lambda: _look(stage, engine, folder, group)))
        signal.signal(signal.SIGTERM, lambda *_: os.kill(middle, signal.SIGKILL))
        _, status = os.waitpid(middle, 0)
    return os.waitstatus_to_exitcode(status)


def _leave(look: Callable[[], int]) -> int:
    """Judge as process 1 of a new PID namespace: at its end the kernel ends all others in it."""
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    places.enter_own_namespaces()
    first = os.fork()
    if first == 0:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        os._exit(look())
    _, status = os.waitpid(first, 0)
    return os.waitstatus_to_exitcode(status)


def _look(stage: int, engine: str, folder: str, group: str) -> int:
    found: list[Finding] = []
    try:
        places.settle(folder, in_memory=JUDGES[stage][1] is not stages_beyond.users)
        place = Place(os.path.abspath(engine), folder, group)
        try:
            found += JUDGES[stage][1](place)
        finally:
            place.end()
    except Exception as error:
        traceback.print_exc()
        found.append(Finding("the judge", "could look", f"could not: {error!r}"))
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
