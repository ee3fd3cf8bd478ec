"""Ways through the exercises of chapter 10: control groups."""

import os
import signal
import subprocess
from pathlib import Path

from labkit.course.cgroups import groups
from labkit.course.exercises.processes import every, words_of
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker


def by_hand(*, limit: int = 0, with_process: bool = True, name: str = "{group}") -> Way:
    def way(bench: Bench) -> None:
        mounted = groups.mounted_here()
        point = mounted.get("pids", mounted.get("", ("", "")))[0]
        if "pids" not in mounted:
            Path(point, "cgroup.subtree_control").write_text("+pids")
        folder = Path(point, name.format_map(dict(bench.v)))
        folder.mkdir()
        (folder / "pids.max").write_text(str(limit or bench.v.most))
        sleeper = subprocess.Popen(["sleep", str(bench.v.seconds)])
        bench.lab_processes.append(sleeper)
        if with_process:
            (folder / "cgroup.procs").write_text(str(sleeper.pid))

    return way


def freeze(bench: Bench) -> None:
    seen = bench.place.container(bench.v.name)
    assert seen is not None
    group = groups.place_of(seen.pid, "freezer")
    file, word = {1: ("freezer.state", "FROZEN"), 2: ("cgroup.freeze", "1")}[group.version]
    Path(group.folder, file).write_text(word)


def stop_signal(bench: Bench) -> None:
    seen = bench.place.container(bench.v.name)
    assert seen is not None
    os.kill(seen.pid, signal.SIGSTOP)


def sleeper_of(bench: Bench) -> int:
    wanted = ("sleep", str(bench.v.seconds))
    return next(pid for pid in every() if words_of(pid) == wanted)


def owner(bench: Bench) -> str:
    folder = groups.place_of(sleeper_of(bench), "pids").folder
    return os.path.basename(folder)


def end_another(bench: Bench) -> None:
    found = owner(bench)
    for name in (bench.v.first, bench.v.second):
        seen = bench.place.container(name)
        if seen is not None and seen.id != found:
            bench.docker(f"kill {name}")
            return


def script(text: str) -> Way:
    def way(bench: Bench) -> None:
        Path(bench.place.path(bench.v.file)).write_text(text)

    return way


GOOD = """\
old=$(grep -c ' - cgroup ' "$1")
new=$(grep -c ' - cgroup2 ' "$1")
if [ $old -gt 0 ] && [ $new -gt 0 ]; then echo hybrid
elif [ $new -gt 0 ]; then echo 2
else echo 1
fi
"""
ANYWHERE = """\
if grep -q cgroup2 "$1"; then echo 2; else echo 1; fi
"""
NO_HYBRID = """\
if grep -q ' - cgroup ' "$1"; then echo 1; else echo 2; fi
"""


def translated(weight: str, quota: str, memory: str) -> Way:
    def way(bench: Bench) -> None:
        v = bench.v
        values = {
            "weight": round(v.shares * 100 / 1024),
            "linear": int(1 + (v.shares - 2) * 9999 / 262142),
            "shares": v.shares,
            "quota": round(float(v.cpus) * 100_000),
            "bytes": v.memory << 20,
            "mib": v.memory,
        }
        lines = f"cpu.weight {weight}\ncpu.max {quota}\nmemory.max {memory}\n"
        Path(bench.place.path(v.file)).write_text(lines.format_map(values))

    return way


ATTEMPTS = {
    "10.1": Attempts(
        by_hand(),
        {
            "no process": Wrong(by_hand(with_process=False), 0, "moves that process"),
            "another limit": Wrong(by_hand(limit=7), 4, "7; asked for"),
            "by the engine": Wrong(
                docker(
                    "run -d --name {group} --pids-limit {most} busybox sleep {seconds}",
                ),
                0,
                "another group",
            ),
        },
    ),
    "10.2": Attempts(
        freeze,
        {
            "by the engine": Wrong(docker("pause {name}"), 4, "paused; asked for: running"),
            "a signal": Wrong(stop_signal, 0, "a signal stops processes one by one"),
            "ended": Wrong(docker("kill {name}"), 0, "they have ended"),
        },
    ),
    "10.3": Attempts(
        lambda bench: bench.docker(f"kill {owner(bench)}") and None,
        {
            "all ended": Wrong(docker("kill {first} {second} {third}"), 3, "0 of 2 run"),
            "another ended": Wrong(end_another, 0, "still there; asked for: ended"),
            "the process alone": Wrong(
                lambda bench: os.kill(sleeper_of(bench), signal.SIGKILL), 0, "/proc/PID/cgroup"
            ),
        },
    ),
    "10.4": Attempts(
        script(GOOD),
        {
            "the word anywhere": Wrong(script(ANYWHERE), 2, "and only that word"),
            "two answers alone": Wrong(script(NO_HYBRID), 4, "with both versions: 1"),
            "it never ends": Wrong(script("while true; do sleep 1; done"), 0, "it still runs"),
            "a mistake in it": Wrong(script("if then"), 0, "syntax error"),
        },
    ),
    "10.5": Attempts(
        translated("{weight}", "{quota} 100000", "{bytes}"),
        {
            "the shares as they are": Wrong(
                translated("{shares}", "{quota} 100000", "{bytes}"), 4, "other units"
            ),
            "the straight line": Wrong(
                translated("{linear}", "{quota} 100000", "{bytes}"), 4, "cpu.weight: "
            ),
            "without the period": Wrong(translated("{weight}", "{quota}", "{bytes}"), 4, "cpu.max"),
            "in MiB": Wrong(translated("{weight}", "{quota} 100000", "{mib}"), 4, "memory.max: "),
        },
    ),
}
