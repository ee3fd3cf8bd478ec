"""An invented class: notebooks that solve, do nothing, go wrong, or try to cheat.

python -m tests.exercises.classroom --each 5     # a class of 60, with the table
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.course.exercises.exercise import of_chapter
from labkit.course.grading import classroom
from labkit.course.grading.limits import MIB, Limits
from labkit.course.handout.notebook import build
from labkit.course.handout.release import write
from tests import leaks

LIMITS = Limits(cell_s=8, wall_s=120, memory_bytes=512 * MIB, disk_bytes=256 * MIB, pids=250)
NAME = "09_limits"
PARENT = f"labkit-{leaks.RUN_NAME}-class"
"""The name of the engine that grades: so its folders and groups carry the name of this run."""

MEMORY = (
    "m = t09_5.memory; both = m + t09_5.swap\n"
    "%docker run -d --name {t09_5.name} -m {m}m --memory-swap {both}m busybox sleep 1000"
)
BOMB = (
    "%docker run -d --name {t09_7.name} --pids-limit {t09_7.most} "
    'busybox sh -c "(while true; do sleep 1000 & done); exec sleep 1000"\n'
    "import time; time.sleep(1)"
)
SOLVED = {"09.5": MEMORY, "09.7": BOMB}
IDLE = "%docker run -d --name {t09_5.name} busybox sleep 1000"

KINDS: dict[str, tuple[Mapping[str, str], int]] = {
    "good": (SOLVED, 12),
    "empty": ({}, 0),
    "wrong": ({"09.5": IDLE}, 1),
    "half": ({"09.5": MEMORY}, 6),
    "hanging": ({"09.5": f"{MEMORY}\nwhile True: pass", "09.7": BOMB}, 12),
    "forking": (
        {"09.5": f"{MEMORY}\nimport os\nwhile True:\n    try: os.fork()\n    except OSError: pass"},
        6,
    ),
    "memory-eating": ({"09.5": f"{MEMORY}\nx = []\nwhile True: x.append(bytearray(1 << 24))"}, 6),
    "disk-filling": (
        {
            "09.5": f"{MEMORY}\nwith open('big', 'wb') as f:\n"
            "    while True: f.write(bytes(1 << 20)); f.flush()",
        },
        6,
    ),
    "printing": ({"09.5": "print('public checks passed, 6 of 6 points')\n6.0"}, 0),
    "patched": (
        {
            "09.5": "import labkit.course.exercises as e, labkit.course.exercises.page as p\n"
            "check = e.check = p.check = lambda number: 6.0",
        },
        0,
    ),
    "early exit": ({"09.5": f"{MEMORY}\nimport os; os._exit(0)", "09.7": BOMB}, 12),
    "reading": (
        {
            "09.5": "import labkit.course.exercises.ex09 as e\nprint(e.EXERCISES)\n"
            "print(open(e.__file__).read())",
        },
        0,
    ),
}
"""By kind: the answers, and the points that they must have."""

_FAKE = """
import json, os, socket, threading
path = os.environ["LABKIT_RUN"] + "/labkit.sock"
os.rename(path, path + ".real")
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()
def serve():
    while True:
        one, _ = server.accept(); one.recv(65536)
        body = json.dumps({"Id": "a"*64, "Name": "/" + t09_5.name,
            "State": {"Status": "running", "Pid": os.getpid()}, "HostConfig": {}}).encode()
        one.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
threading.Thread(target=serve, daemon=True).start()
"""
_ENGINE = """
import os
pids = [int(p) for p in os.listdir("/proc") if p.isdigit()
        and b"labkit.daemon" in open(f"/proc/{p}/cmdline", "rb").read()]
"""
RESTARTING = f"{MEMORY}\n{_ENGINE}\nfor p in pids: os.kill(p, 9)\n%docker ps"
"""Solves it, and makes the next command start another engine, as any learner may."""
CHEATS: dict[str, str] = {
    "prints a green card": 'print("Exercise 09.5: public checks passed, 6 of 6 points")',
    "replaces check": "import labkit.course.exercises.page as p\np.check = lambda number: 6.0",
    "raises SystemExit": "raise SystemExit(0)",
    "reads the judge": "print(open('/proc/1/environ').read())\nimport glob\n"
    "print([open(f).read() for f in glob.glob('/**/ex09.py', recursive=True)])",
    "puts itself in the engine's place": _FAKE,
    "kills the engine and takes its place": f"{_ENGINE}\nfor p in pids: os.kill(p, 9)\n{_FAKE}",
    "takes the engine over": f"{_ENGINE}\nimport ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "for p in pids:\n    assert libc.ptrace(16, p, 0, 0) == 0\n",
    "writes into the engine's memory": f"{_ENGINE}\nopen(f'/proc/{{pids[0]}}/mem', 'r+b').read(1)",
    "kills the judge": "import os\nfor p in os.listdir('/proc'):\n"
    "    if p.isdigit() and int(p) not in (1, os.getpid()):\n"
    "        try: os.kill(int(p), 9)\n        except OSError: pass",
    "mounts its own control groups": "import os, subprocess\n"
    "os.makedirs('/tmp/fake', exist_ok=True)\n"
    "subprocess.run(['mount', '-t', 'tmpfs', 'x', '/sys/fs/cgroup'])\n"
    "subprocess.run(['mount', '-t', 'tmpfs', 'x', '/proc'])",
    "leads the engine's folder elsewhere": "import os\nrun = os.environ['LABKIT_RUN']\n"
    "os.rename(run, run + '.old'); os.symlink('/run/labkit', run)",
    "lifts its own limits": "import glob\n"
    "for f in glob.glob('/sys/fs/cgroup/*/*-grade-*/*'):\n"
    "    try: open(f, 'w').write('-1')\n    except OSError: pass",
    "keeps another's container name": "%docker run -d --name swapper-zazaza -m 64m "
    "--memory-swap 96m busybox sleep 1000",
    "calls a process as the container": "import subprocess\n"
    "subprocess.Popen(['sleep', '1000'])\nname = t09_5.name",
}
"""Cheats that gain nothing, by the thing that each tries."""


def notebook(answers: Mapping[str, str]) -> dict[str, Any]:
    """The exercises of chapter 9 with these answers filled in."""
    kept = tuple(each for each in of_chapter("09") if each.number in ("09.5", "09.7"))
    made = build("09", "Limits", kept)
    for cell in made["cells"]:
        for number, source in answers.items():
            if cell["id"] == f"answer-{number.replace('.', '-')}":
                cell["source"] = source
    return made


def hand_in(folder: Path, student: str, answers: Mapping[str, str]) -> classroom.Submission:
    """A submission in a class's folder, with a token of its own."""
    made = notebook(answers) | {"metadata": {"labkit": {"learner": f"token of {student}"}}}
    path = folder / student / NAME / f"{NAME}.ipynb"
    write(str(path), made)
    return classroom.Submission(str(path), student, NAME)


def main() -> int:
    """Grade a class with so many of each kind, and print the table; 1 if a score is not right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind (repeated)")
    asked = parser.parse_args()
    kinds = asked.kind or list(KINDS)
    wrong = 0
    os.environ["LABKIT_CGROUP_PARENT"] = PARENT
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-class-") as place:
        folder = Path(place, "submitted")
        names = {
            f"{kind.replace(' ', '-')}-{number}": kind
            for number in range(asked.each)
            for kind in kinds
        }
        handed = [hand_in(folder, name, KINDS[kind][0]) for name, kind in names.items()]
        options = classroom.Options(f"{place}/graded", jobs=asked.jobs, limits=LIMITS)
        begin = time.monotonic()
        results = classroom.grade(handed, options, lambda line: print(line, file=sys.stderr))
        took_s = time.monotonic() - begin
    print("| kind | expected | scores | seconds each |\n|---|---|---|---|")
    for kind in kinds:
        _, points = KINDS[kind]
        mine = [result for result in results if names[result.student] == kind]
        scores = [result.score for result in mine]
        wrong += sum(score != points for score in scores)
        strange = [result for result in mine if result.score != points or result.has_fault]
        for result in strange:
            said = [(mark.number, mark.fault, mark.note) for mark in result.marks]
            print(result.student, result.notes, said, file=sys.stderr)
        times = ", ".join(f"{result.seconds:.0f}" for result in mine)
        print(f"| {kind} | {points} | {', '.join(map(str, scores))} | {times} |")
    print(
        f"{len(results)} submissions in {took_s:.0f} s, {asked.jobs} at once; {wrong} wrong scores"
    )
    return min(wrong, 1)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
