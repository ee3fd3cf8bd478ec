"""Ways through the exercises of chapter 11: namespaces."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

SLEEP = "busybox sleep 1000"


def host(*words: str) -> Way:
    """Start a process of the host, wait until it is as asked, and leave it running."""

    def way(bench: Bench) -> None:
        values = dict(bench.v)
        seen = bench.place.container(values["name"]) if "name" in values else None
        values["pid"] = seen.pid if seen else 0
        command = [word.format_map(values) for word in words]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        bench.lab_processes.append(process)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if bench.place.started("sleep", str(values["seconds"])):
                return
            time.sleep(0.02)

    return way


MAPPED = """
import os, sys, time
uid, path = int(sys.argv[2]), sys.argv[3]
ready, go = os.pipe(), os.pipe()
if os.fork() == 0:
    __import__("ctypes").CDLL(None).unshare(0x10000000)
    os.write(ready[1], b"x"); os.read(go[0], 1)
    os.setgid(0); os.setuid(0)
    open(path, "w").close()
    os.execvp("sleep", ["sleep", sys.argv[1]])
os.read(ready[0], 1)
child = int(open("/proc/self/task/%d/children" % os.getpid()).read().split()[0])
open("/proc/%d/uid_map" % child, "w").write("0 %d 1" % uid)
open("/proc/%d/gid_map" % child, "w").write("0 %d 1" % uid)
os.write(go[1], b"x"); os.wait()
"""


def mapped_here(uid: str, name: str) -> Way:
    def way(bench: Bench) -> None:
        path = name.format_map(dict(bench.v))
        host(sys.executable, "-c", MAPPED, "{seconds}", uid, path)(bench)

    return way


def chown(bench: Bench) -> None:
    path = bench.v.file
    with open(path, "w"):
        os.chown(path, bench.v.uid, bench.v.uid)


PAIR = (f"run -d --name {{first}} {SLEEP}",)
TRIO = (
    f"run -d --name {{one}} --ipc shareable {SLEEP}",
    f"run -d --name {{two}} --ipc container:{{one}} {SLEEP}",
    f"run -d --name {{three}} {SLEEP}",
)
TOUCH = "exec {one} touch /dev/shm/{word}"


def init(*lines: str) -> Way:
    def way(bench: Bench) -> None:
        text = "\n".join(lines) + "\n"
        Path(bench.place.path(bench.v.file)).write_text(text)

    return way


ATTEMPTS = {
    "11.1": Attempts(
        docker(*PAIR, f"run -d --name {{second}} --network container:{{first}} {SLEEP}"),
        {
            "each its own network": Wrong(
                docker(*PAIR, f"run -d --name {{second}} {SLEEP}"), 2, "their networks: two"
            ),
            "both the host's": Wrong(
                docker(
                    f"run -d --name {{first}} --network host {SLEEP}",
                    f"run -d --name {{second}} --network host {SLEEP}",
                ),
                2,
                "the host's; asked for",
            ),
            "processes too": Wrong(
                docker(
                    *PAIR,
                    "run -d --name {second} --network container:{first} --pid container:{first} "
                    + SLEEP,
                ),
                5,
                "their processes: shared",
            ),
        },
    ),
    "11.2": Attempts(
        host("nsenter", "--net=/proc/{pid}/ns/net", "sleep", "{seconds}"),
        {
            "in the container": Wrong(
                docker("exec -d {name} sleep {seconds}"), 4, "its files and its process numbers"
            ),
            "on the host": Wrong(host("sleep", "{seconds}"), 0, "another; asked for"),
            "a network of its own": Wrong(
                host("unshare", "--net", "sleep", "{seconds}"), 0, "can join one namespace"
            ),
            "files too": Wrong(
                host(
                    *("nsenter", "--net=/proc/{pid}/ns/net", "--mount=/proc/{pid}/ns/mnt"),
                    *("/bin/sleep", "{seconds}"),
                ),
                4,
                "others; asked for: the host's",
            ),
        },
    ),
    "11.3": Attempts(
        mapped_here("{uid}", "{file}"),
        {
            "only the owner changed": Wrong(chown, 0, "there is no such process"),
            "another number": Wrong(mapped_here("65534", "{file}"), 0, "65534 outside"),
            "no file": Wrong(mapped_here("{uid}", "/dev/null"), 4, "there is no such file"),
        },
    ),
    "11.4": Attempts(
        host("unshare", "--pid", "--fork", "--mount-proc", "sleep", "{seconds}"),
        {
            "an old /proc": Wrong(
                host("unshare", "--pid", "--fork", "sleep", "{seconds}"), 4, "that of others"
            ),
            "by the engine": Wrong(
                docker("run -d --name {name} busybox sleep {seconds}"), 3, "the engine"
            ),
            "no namespace": Wrong(host("sleep", "{seconds}"), 0, "another one; asked for: 1"),
        },
    ),
    "11.5": Attempts(
        docker(*TRIO, TOUCH),
        {
            "no file": Wrong(docker(*TRIO), 6, "in none of them"),
            "each its own": Wrong(
                docker(
                    *(f"run -d --name {{{each}}} {SLEEP}" for each in ("one", "two", "three")),
                    TOUCH,
                ),
                3,
                "each has its own",
            ),
            "all three": Wrong(
                docker(
                    *TRIO[:2], f"run -d --name {{three}} --ipc container:{{one}} {SLEEP}", TOUCH
                ),
                3,
                "all three share it",
            ),
        },
    ),
    "11.6": Attempts(
        init('"$@" &', "child=$!", "trap 'kill $child' TERM", "wait $child", "wait $child"),
        {
            "in its place": Wrong(init('exec "$@"'), 3, "zombies that it leaves: 2"),
            "deaf": Wrong(init('"$@" &', "wait", "wait"), 5, "it had to be killed"),
            "starts nothing": Wrong(init("sleep 0.2"), 1, "does not run"),
            "too long": Wrong(init(*["true"] * 25), 0, "25; asked for: at most 20"),
        },
    ),
}
