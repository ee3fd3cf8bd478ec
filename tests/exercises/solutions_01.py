"""Ways through the exercises of chapter 1: virtual machine and container."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from labkit.course.dockerfile.say_compiler import COMPILER
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

SLEEP = "busybox sleep 1000"
FAT = "busybox sh -c 'x=$(head -c 16000000 /dev/zero | tr \"\\000\" a); sleep 1000; echo $x'"


def sleepers(less: int = 0, verb: str = "run -d") -> Way:
    def way(bench: Bench) -> None:
        for number in range(1, bench.v.count + 1 - less):
            bench.docker(f"{verb} --name {bench.v.name}-{number} {SLEEP}")

    return way


def one_is_fat(bench: Bench) -> None:
    sleepers(less=1)(bench)
    bench.docker(f"run -d --name {bench.v.name}-fat {FAT}")
    seen = bench.place.container(f"{bench.v.name}-fat")
    assert seen is not None
    deadline = time.monotonic() + 60
    while _resident(seen.pid) < 15 << 20 and time.monotonic() < deadline:
        time.sleep(0.05)


def _resident(pid: int) -> int:
    """The memory of a process in bytes (proc(5), statm)."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tuned(setting: str, value: str) -> Way:
    return docker(f"run -d --name {{name}} --sysctl net.ipv4.{setting}={value} {SLEEP}")


def send(number: signal.Signals) -> Way:
    def way(bench: Bench) -> None:
        seen = bench.place.container(bench.v.name)
        assert seen is not None
        os.kill(seen.pid, number)
        deadline = time.monotonic() + (5 if number == signal.SIGKILL else 0.3)
        while time.monotonic() < deadline:
            now = bench.place.container(bench.v.name)
            if now is not None and now.status == "exited":
                return
            time.sleep(0.05)

    return way


def compiled(line: str = "") -> Way:
    def way(bench: Bench) -> None:
        folder = Path(bench.place.path("tiny"))
        folder.mkdir(exist_ok=True)
        (folder / "compile").write_text(COMPILER)
        program = subprocess.run(
            ["perl", str(folder / "compile")],
            input=f"say {line or bench.v.line}\n".encode(),
            capture_output=True,
            check=True,
        ).stdout
        (folder / "say").write_bytes(program)
        (folder / "say").chmod(0o755)
        (folder / "compile").unlink()
        built(folder, bench, 'FROM scratch\nCOPY say /say\nENTRYPOINT ["/say"]\n')

    return way


def built(folder: Path, bench: Bench, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text.replace("<line>", bench.v.line))
    bench.docker(f"build -q -t {bench.v.image} {folder}")


def from_text(text: str) -> Way:
    return lambda bench: built(Path(bench.place.path("tiny")), bench, text)


BUSYBOX = 'FROM busybox\nCMD ["echo", "<line>"]\n'
COPIED = (
    "FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /echo\n"
    'CMD ["/echo", "<line>"]\n'
)


def records(about: Callable[[list[int]], float], *, upside_down: bool = False) -> Way:
    def way(bench: Bench) -> None:
        rows = Path(bench.place.path(bench.v.records)).read_text().splitlines()[1:]
        times: dict[str, list[int]] = {"vm": [], "container": []}
        for row in rows:
            _, kind, took = row.split(",")
            times[kind].append(int(took))
        vm, container = about(times["vm"]), about(times["container"])
        times_longer = container / vm if upside_down else vm / container
        text = f"vm {vm}\ncontainer {container}\ntimes {times_longer:.2f}\n"
        Path(bench.place.path(bench.v.file)).write_text(text)

    return way


ATTEMPTS = {
    "01.1": Attempts(
        sleepers(),
        {
            "one too few": Wrong(sleepers(less=1), 0, "by their names"),
            "one takes much": Wrong(one_is_fat, 3, "MiB; asked for: less than"),
            "only made": Wrong(sleepers(verb="create"), 0, "0; asked for"),
        },
    ),
    "01.2": Attempts(
        tuned("ip_default_ttl", "{ttl}"),
        {
            "none set": Wrong(docker(f"run -d --name {{name}} {SLEEP}"), 1, "64; asked for"),
            "another value": Wrong(tuned("ip_default_ttl", "65"), 1, "65; asked for"),
            "another setting": Wrong(
                tuned("ip_unprivileged_port_start", "{ttl}"), 1, "belong to a"
            ),
            "it has ended": Wrong(docker("run --name {name} busybox true"), 0, "exited"),
        },
    ),
    "01.3": Attempts(
        send(signal.SIGKILL),
        {
            "by the engine": Wrong(docker("kill {name}"), 3, "kill; asked for: nothing"),
            "a signal without a handler": Wrong(send(signal.SIGTERM), 0, "it runs"),
            "removed": Wrong(docker("rm -f {name}"), 0, "it was removed"),
        },
    ),
    "01.4": Attempts(
        compiled(),
        {
            "busybox": Wrong(from_text(BUSYBOX), 3, "its size"),
            "one program of busybox": Wrong(from_text(COPIED), 3, "asks the kernel directly"),
            "another line": Wrong(compiled("something"), 0, "'something'; asked for"),
        },
    ),
    "01.5": Attempts(
        records(median),
        {
            "the mean": Wrong(records(lambda times: sum(times) / len(times) + 0.5), 0, "the mean"),
            "the longest": Wrong(records(max), 0, "the median of its starts"),
            "upside down": Wrong(records(median, upside_down=True), 4, "the line times"),
        },
    ),
}
