"""Ways through the exercises of chapter 8: the life of a container."""

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
}
