"""Ways through the exercises of chapter 8: the life of a container."""

import tarfile
from pathlib import Path

from labkit.course.exercises.looks.trials import archive
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

SLEEP = "busybox sleep 1000"
COMMANDS = {
    "created": f"create --name {{name}} {SLEEP}",
    "started": "start {name}",
    "paused": "pause {name}",
    "unpaused": "unpause {name}",
    "ended": "kill {name}",
}


def walk(bench: Bench, *, short_by: int = 0, more: tuple[str, ...] = ()) -> None:
    steps = bench.v.way.split(", ")
    for step in [*steps[: len(steps) - short_by], *more]:
        bench.docker(COMMANDS[step])


def one_more(bench: Bench) -> None:
    walk(bench)
    seen = bench.place.container(bench.v.name)
    assert seen is not None
    bench.docker(
        {"paused": "unpause {name}", "exited": "start {name}"}.get(seen.status, "kill {name}")
    )


def states(*left_out: str, code: str = "{code}") -> Way:
    every = {
        "fresh": (f"create --name {{fresh}} {SLEEP}",),
        "awake": (f"run -d --name {{awake}} {SLEEP}",),
        "frozen": (f"run -d --name {{frozen}} {SLEEP}", "pause {frozen}"),
        "gone": (
            f'create --name {{gone}} busybox sh -c "exit {code}"',
            "start {gone}",
            "wait {gone}",
        ),
    }
    return docker(
        *(c for name, commands in every.items() if name not in left_out for c in commands)
    )


def stubborn(policy: str, memory: str = "{memory}m") -> Way:
    return docker(f"run -d --name {{name}} -m {memory} --restart {policy} {SLEEP}")


def failing(policy: str, code: str = "{code}") -> Way:
    return docker(f'run -d --name {{name}} --restart {policy} busybox sh -c "exit {code}"')


def snapshot(bench: Bench, after: str = "") -> None:
    """Look at what was written, as a careful learner: a pause may come between two writes."""
    path = bench.place.path(bench.v.file)
    for _ in range(20):
        bench.docker("pause {name}")
        bench.docker(f"export -o {path} {{name}}")
        bench.docker("unpause {name}")
        first, last = numbers_in(path)
        if first and first == last:
            break
    if after:
        bench.docker(after)


def numbers_in(path: str) -> list[str]:
    with tarfile.open(path) as tar:
        files = (tar.extractfile(f"srv/{name}") for name in ("first", "last"))
        return [file.read().decode().strip() if file else "" for file in files]


def one_by_one(bench: Bench) -> None:
    """Copy one file, and the other when the number has moved on."""
    first = int(bench.docker("exec {name} cat /srv/first") or 1)
    while (last := int(bench.docker("exec {name} cat /srv/last") or 0)) < first + 2:
        pass
    tar_of(bench, {"srv/first": first, "srv/last": last})


def tar_of(bench: Bench, numbers: dict[str, int]) -> None:
    files = {name: f"{number}\n".encode() for name, number in numbers.items()}
    Path(bench.place.path(bench.v.file)).write_bytes(archive(files))


ATTEMPTS = {
    "08.1": Attempts(
        states(),
        {
            "no pause": Wrong(states("frozen"), 3, "paused"),
            "another status": Wrong(states(code="1"), 3, "exited with 1"),
            "all run": Wrong(
                docker(*(f"run -d --name {{{n}}} {SLEEP}" for n in ("fresh", "awake", "frozen"))),
                1,
                "running; asked for: created",
            ),
        },
    ),
    "08.2": Attempts(
        walk,
        {
            "too short": Wrong(lambda b: walk(b, short_by=1), 1, "kept in order"),
            "one step too many": Wrong(one_more, 1, "its way"),
            "only created": Wrong(docker(COMMANDS["created"]), 0, "how it began: created"),
        },
    ),
    "08.3": Attempts(
        docker("run -d --init --name {name} busybox sleep {seconds}"),
        {
            "deaf": Wrong(docker("run -d --name {name} busybox sleep {seconds}"), 2, "no handler"),
            "killed at once": Wrong(
                docker("run -d --stop-signal KILL --name {name} busybox sleep {seconds}"),
                5,
                "killed; asked for",
            ),
            "something else": Wrong(
                docker(f"run -d --init --name {{name}} {SLEEP}"), 1, "none; asked for"
            ),
        },
    ),
    "08.4": Attempts(
        stubborn("on-failure"),
        {
            "no policy": Wrong(stubborn("no"), 2, "it stays ended; asked for"),
            "no limit": Wrong(
                docker(f"run -d --name {{name}} --restart always {SLEEP}"),
                6,
                "its memory limit: none",
            ),
            "not started": Wrong(
                docker(f"create --name {{name}} --restart always {SLEEP}"), 0, "created"
            ),
        },
    ),
    "08.5": Attempts(
        failing("on-failure:{times}"),
        {
            "once": Wrong(failing("on-failure:1"), 2, "1 times; asked for"),
            "never": Wrong(failing("no"), 2, "0 times; asked for"),
            "another status": Wrong(failing("on-failure:{times}", "1"), 0, "exited with 1"),
            "without an end": Wrong(failing("always"), 0, "asked for: exited with"),
        },
    ),
    "08.6": Attempts(
        snapshot,
        {
            "one file after the other": Wrong(one_by_one, 0, "at most 1 apart"),
            "left paused": Wrong(lambda b: snapshot(b, after="pause {name}"), 4, "paused; asked"),
            "ended first": Wrong(lambda b: snapshot(b, after="kill {name}"), 4, "exited; asked"),
            "an empty archive": Wrong(
                lambda b: tar_of(b, {}), 0, "none and none; asked for: at most 1 apart"
            ),
        },
    ),
}
