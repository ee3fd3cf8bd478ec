"""Ways through the exercises of chapter 9: limits."""

import time

from labkit.course.exercises.place import numbers
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

BUSY = "busybox md5sum /dev/zero"


def shares(bench: Bench, more: int, less: int, cpus: str = "0 0", command: str = BUSY) -> None:
    first, second = cpus.split()
    bench.docker(f"run -d --name {{heavy}} -c {more} --cpuset-cpus {first} {command}")
    bench.docker(f"run -d --name {{light}} -c {less} --cpuset-cpus {second} {command}")


def part(bench: Bench) -> tuple[int, int]:
    return 400 * bench.v.more, 400 * bench.v.less


def update(bench: Bench, more: int, less: int) -> None:
    bench.docker(f"update -c {300 * more} {{first}}")
    bench.docker(f"update -c {300 * less} {{second}}")


def start_again(bench: Bench) -> None:
    for name, weight in (("first", bench.v.more), ("second", bench.v.less)):
        bench.docker(f"rm -f {{{name}}}")
        bench.docker(f"run -d --name {{{name}}} -c {300 * weight} --cpuset-cpus 0 {BUSY}")


def ceiling(percent: int, command: str = BUSY) -> str:
    return f"run -d --name {{name}} --cpus {percent / 100} {command}"


def fill(bench: Bench, memory: int, size: int, more: str = "") -> None:
    words = f"dd if=/dev/zero of=/data/file bs=1M count={size} && exec sleep 1000"
    limits = f"-m {memory}m {more} --tmpfs /data:size=200m"
    bench.docker(f'run -d --name {{name}} {limits} busybox sh -c "{words}"')
    for _ in range(100):
        if bench.lab.cli("exec", bench.v.name, "pgrep", "-x", "sleep").returncode == 0:
            return
        time.sleep(0.02)


IDLE = "busybox sleep 1000"
WRITES = "--device-write-bps {disk}:{write_mb}mb"
SLOW = f"run -d --name {{name}} --device-read-bps {{disk}}:{{read_mb}}mb {WRITES}"
OPS = "--device-read-iops {disk}:{reads} --device-write-iops {disk}:{writes}"
BOMB = '"(while true; do sleep 1000 & done); exec sleep 1000"'


def bomb(limit: str) -> str:
    return f"run -d --name {{name}} {limit} busybox sh -c {BOMB}"


def until_refused(way: Way) -> Way:
    """Wait until the kernel has refused a process: on a slow machine forking takes its time."""

    def whole(bench: Bench) -> None:
        way(bench)
        seen = bench.place.container(bench.v.name)
        deadline = time.monotonic() + 30
        while seen is not None and time.monotonic() < deadline:
            if dict(numbers(seen.read("pids", "pids.events", "pids.events"))).get("max"):
                return
            time.sleep(0.05)

    return whole


def weighed(fast: str, slow: str = "", *, half: bool = False) -> Way:
    def way(bench: Bench) -> None:
        other = str(bench.v.more // 2) if half else slow
        for name, weight in (("{fast}", fast), ("{slow}", other)):
            flag = f"--blkio-weight {weight}" if weight else ""
            bench.docker(f"run -d --name {name} {flag} {IDLE}")

    return way


ATTEMPTS = {
    "09.1": Attempts(
        lambda bench: shares(bench, *part(bench)),
        {
            "equal weights": Wrong(lambda b: shares(b, 1024, 1024), 3, "their weights: "),
            "the wrong way round": Wrong(lambda b: shares(b, *part(b)[::-1]), 3, "proportion"),
            "each on a CPU of its own": Wrong(
                lambda b: shares(b, *part(b), cpus="0 1"), 5, "the same CPU"
            ),
            "they only sleep": Wrong(
                lambda b: shares(b, *part(b), command=IDLE), 6, "Time is divided"
            ),
            "only one": Wrong(
                docker(f"run -d --name {{heavy}} -c 2048 {BUSY}"), 1, "no such container"
            ),
        },
    ),
    "09.2": Attempts(
        lambda b: update(b, b.v.more, b.v.less),
        {
            "removed and run again": Wrong(start_again, 4, "other processes than at the start"),
            "one changed": Wrong(docker("update -c 900 {first}"), 0, "their weights: "),
            "the wrong way round": Wrong(
                lambda b: update(b, b.v.less, b.v.more), 0, "only the proportion"
            ),
        },
    ),
    "09.3": Attempts(
        lambda b: b.docker(ceiling(b.v.percent)),
        {
            "no ceiling": Wrong(docker(f"run -d --name {{name}} {BUSY}"), 1, "none; asked for"),
            "twice as high": Wrong(lambda b: b.docker(ceiling(2 * b.v.percent)), 1, "period"),
            "it sleeps": Wrong(lambda b: b.docker(ceiling(b.v.percent, IDLE)), 4, "nr_throttled"),
        },
    ),
    "09.4": Attempts(
        lambda b: fill(b, b.v.size + 4, b.v.size),
        {
            "much more": Wrong(lambda b: fill(b, b.v.size + 40, b.v.size), 3, "asked for: at most"),
            "too little": Wrong(
                lambda b: fill(b, b.v.size - 4, b.v.size, "--memory-swap={size}m"), 0, "exited"
            ),
            "a smaller file": Wrong(
                lambda b: fill(b, b.v.size, b.v.size - 8), 1, "the files in its tmpfs"
            ),
            "no limit": Wrong(lambda b: fill(b, 0, b.v.size), 3, "its memory limit: none"),
        },
    ),
    "09.5": Attempts(
        lambda b: b.docker(
            f"run -d --name {{name}} -m {b.v.memory}m --memory-swap={b.v.memory + b.v.swap}m {IDLE}"
        ),
        {
            "the sum taken for swap": Wrong(
                lambda b: b.docker(
                    f"run -d --name {{name}} -m {b.v.memory}m --memory-swap={b.v.memory}m {IDLE}"
                ),
                3,
                "the sum of memory and swap",
            ),
            "memory alone": Wrong(
                docker(f"run -d --name {{name}} -m {{memory}}m {IDLE}"), 3, "the swap it may use"
            ),
            "nothing limited": Wrong(
                docker(f"run -d --name {{name}} {IDLE}"), 1, "its memory limit: none"
            ),
        },
    ),
    "09.6": Attempts(
        docker(f"{SLOW} {OPS} {IDLE}"),
        {
            "bytes alone": Wrong(docker(f"{SLOW} {IDLE}"), 5, "reads in a second"),
            "megabytes of ten": Wrong(
                lambda b: b.docker(
                    f"run -d --name {{name}} --device-read-bps {{disk}}:{b.v.read_mb}000000 "
                    f"{WRITES} {OPS} {IDLE}"
                ),
                7,
                "bytes read in a second",
            ),
            "reads and writes mixed up": Wrong(
                docker(
                    f"{SLOW} --device-read-iops {{disk}}:{{writes}} "
                    f"--device-write-iops {{disk}}:{{reads}} {IDLE}"
                ),
                5,
                "for reading and writing apart",
            ),
        },
    ),
    "09.7": Attempts(
        until_refused(docker(bomb("--pids-limit {most}"))),
        {
            "nothing was refused": Wrong(
                docker(f"run -d --name {{name}} --pids-limit {{most}} {IDLE}"), 3, "pids.events"
            ),
            "another limit": Wrong(
                until_refused(docker(bomb("--pids-limit 50"))),
                1,
                "50; asked for",
            ),
            "it ends": Wrong(
                docker("run --name {name} --pids-limit {most} busybox true"), 0, "exited"
            ),
        },
    ),
    "09.8": Attempts(
        weighed("{more}", half=True),
        {
            "one has the usual weight": Wrong(weighed("{more}"), 4, "the disk weight of slow"),
            "the same for both": Wrong(weighed("{more}", "{more}"), 4, "half of"),
            "shares of the CPU": Wrong(
                docker(
                    f"run -d --name {{fast}} -c 1024 {IDLE}",
                    f"run -d --name {{slow}} -c 512 {IDLE}",
                ),
                2,
                "when both want the disk",
            ),
        },
    ),
}
