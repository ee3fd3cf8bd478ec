"""Ways through the exercises of chapter 7: running containers."""

import time
from itertools import combinations
from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker
from tests.exercises.solutions_11 import host

SLEEP = "busybox sleep 1000"


def say(word: str) -> Way:
    """Type a line into the container, without ending its input."""

    def way(bench: Bench) -> None:
        path = f"/containers/{bench.v.name}/attach"
        client = bench.place.client
        line = f"{word.format_map(dict(bench.v))}\n".encode()
        response = client.api.hijack(path, None, stream="1", stdin="1", stdout="1")
        connection, _ = response.hijack()
        connection.sendall(line)
        container = client.containers.get(bench.v.name)
        deadline = time.monotonic() + 5
        while line.strip() not in container.logs() and time.monotonic() < deadline:
            time.sleep(0.02)
        connection.close()

    return way


def start_over(bench: Bench) -> None:
    bench.docker("rm -f {name}")
    bench.docker("run -d -i --name {name} busybox cat")
    say("{word}")(bench)


def shortest(to: int = 0, count: int = 2) -> Way:
    """Write beginnings of the ids: as short as possible, or with `to` letters."""

    def way(bench: Bench) -> None:
        ids = [one.id for one in bench.place.client.containers.list(all=True)]
        alike = next([a, b] for a, b in combinations(ids, 2) if a[0] == b[0])
        others = [each for each in ids if each not in alike]
        lines = [each[: to or short(each, ids)] for each in [*alike, *others][:count]]
        Path(bench.place.path(bench.v.file)).write_text("".join(f"{line}\n" for line in lines))

    return way


def short(one: str, ids: list[str]) -> int:
    return next(n for n in range(1, 65) if sum(each[:n] == one[:n] for each in ids) == 1)


ATTEMPTS = {
    "07.1": Attempts(
        docker("run -dit --name {name} busybox sh"),
        {
            "no terminal": Wrong(docker("run -di --name {name} busybox sh"), 1, "a terminal"),
            "no open input": Wrong(docker("run -dt --name {name} busybox sh"), 4, "its input"),
            "neither": Wrong(docker(f"run -d --name {{name}} {SLEEP}"), 1, "/dev/null; asked for"),
        },
    ),
    "07.2": Attempts(
        docker("exec -d {name} sleep {seconds}"),
        {
            "on the host": Wrong(host("sleep", "{seconds}"), 0, "others; asked for"),
            "in another container": Wrong(
                docker("run -d --name x-{name} busybox sleep {seconds}"), 0, "others; asked for"
            ),
            "only its network": Wrong(
                host("nsenter", "--net=/proc/{pid}/ns/net", "sleep", "{seconds}"), 0, "joins its"
            ),
        },
    ),
    "07.3": Attempts(
        say("{word}"),
        {
            "another word": Wrong(say("hello"), 0, "hello; asked for"),
            "started over": Wrong(start_over, 4, "another one"),
            "written beside it": Wrong(
                docker('exec {name} sh -c "echo {word}"'), 0, "nothing; asked for"
            ),
        },
    ),
    "07.4": Attempts(
        docker("run -d --name {name} --entrypoint sleep {image} {seconds}"),
        {
            "another image": Wrong(
                docker("run -d --name {name} busybox sleep {seconds}"), 1, "its image: busybox"
            ),
            "as it is": Wrong(docker("run --name {name} {image}"), 0, "exited"),
            "another number": Wrong(
                docker("run -d --name {name} --entrypoint sleep {image} 1000"), 3, "sleep 1000"
            ),
        },
    ),
    "07.5": Attempts(
        docker("rename {old} {new}"),
        {
            "a second one": Wrong(docker(f"run -d --name {{new}} {SLEEP}"), 1, "another one"),
            "started again": Wrong(
                docker("rename {old} {new}", "restart -t 0 {new}"), 1, "another one"
            ),
            "stopped": Wrong(docker("rename {old} {new}", "kill {new}"), 0, "exited"),
        },
    ),
    "07.6": Attempts(
        shortest(),
        {
            "the whole ids": Wrong(shortest(to=64), 3, "lines that are too long: 2"),
            "one digit": Wrong(shortest(to=1), 0, "names alone: 0; asked for: 2"),
            "one of them": Wrong(shortest(count=1), 0, "names alone: 1; asked for: 2"),
            "a third one besides": Wrong(shortest(count=3), 3, "3 words"),
        },
    ),
}
