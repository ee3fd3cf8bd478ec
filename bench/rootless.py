"""The cost of running without root: `python -m bench.rootless`, as root, with the tests' labs.

All pairs are interleaved.  The same container is started by the API of a labkitd with root and of
an ordinary user's; by the commands of labkit and podman, both that user's; and a published port is
measured with iperf3, through labkit's relay and through pasta's own ports.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.lab import Lab, running_lab
from tests.oracle import image_archive
from tests.rootless import RootlessLab, running_rootless_lab

PAIRS = 60
TRANSFERS = 7
SECONDS = 2
PORT = 25_201
IMAGE = "busybox"
Measure = Callable[[], float]


def api_start(lab: Lab, network: str) -> float:
    """Return the milliseconds from `start` to the exit of `true`."""
    body = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
    status, made = lab.api("POST", "/containers/create", body)
    assert status == 201, made
    path = f"/containers/{made['Id']}"  # type: ignore[index]
    begin = time.perf_counter()
    assert lab.api("POST", f"{path}/start")[0] == 204
    assert lab.api("POST", f"{path}/wait")[0] == 200
    taken = (time.perf_counter() - begin) * 1000
    lab.api("DELETE", path)
    return taken


def command(argv: list[str], env: dict[str, str]) -> float:
    """Return the milliseconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(argv, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


class Podman:
    """podman of the lab's user, with runc: crun refuses a mix of cgroup v1 and v2."""

    def __init__(self, lab: RootlessLab) -> None:
        places = {"root": f"{lab.root}/podman", "runroot": f"{lab.run}/p", "tmpdir": f"{lab.run}/t"}
        options = [f"--{name}={place}" for name, place in places.items()]
        more = ("--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc")
        self.argv = [*lab.enter, "podman", *options, *more]
        self.env = {"HOME": lab.root, "XDG_RUNTIME_DIR": lab.run, "PATH": os.environ["PATH"]}
        archive = Path(lab.folder, "podman.tar")
        archive.write_bytes(image_archive())
        command([*self.argv, "load", "-i", str(archive)], self.env)

    def run(self) -> float:
        """Return the milliseconds of `podman run --rm`."""
        words = ("run", "--rm", "--network", "none", "--ulimit", "host", IMAGE, "true")
        return command([*self.argv, *words], self.env)

    def end(self) -> None:
        """End the process that keeps its user namespace."""
        command([*self.argv, "system", "migrate"], self.env)


def throughput(port: int) -> float:
    """Return the Gbit/s into a port of this machine."""
    words = ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", str(SECONDS), "-f", "g"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    line = next(line for line in told.splitlines() if "receiver" in line)
    return float(line.split("Gbits/sec")[0].split()[-1])


def servers(lab: RootlessLab, ends: ExitStack) -> None:
    """Start iperf3 in a container of labkit at PORT, and in a network of pasta at the next port."""
    name = lab.cli("run", "-d", "-p", f"{PORT}:{PORT}", IMAGE, "sleep", "600", check=True)
    pid = lab.cli("inspect", "-f", "{{.State.Pid}}", name.stdout.strip()).stdout.strip()
    pasta = ["pasta", "--config-net", "--foreground", "-t", str(PORT + 1), "--"]
    for entry, port in (
        (["nsenter", "-t", pid, "-n"], PORT),
        ([*lab.enter, *pasta], PORT + 1),
    ):
        words = [*entry, "iperf3", "-s", "-p", str(port)]
        server = ends.enter_context(
            subprocess.Popen(
                words,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        ends.callback(os.killpg, server.pid, signal.SIGTERM)
    time.sleep(2)


def compare(what: str, unit: str, names: tuple[str, str], both: tuple[Measure, Measure]) -> None:
    """Measure both in turn, and print medians, quartiles, and those of the ratio second/first."""
    count = TRANSFERS if unit == "Gbit/s" else PAIRS
    pairs = [(both[0](), both[1]()) for _ in range(count)]
    ratios = [b / a for a, b in pairs]
    columns = (
        (names[0], [a for a, _ in pairs], unit),
        (names[1], [b for _, b in pairs], unit),
        ("ratio", ratios, "x"),
    )
    for name, values, shown in columns:
        low, middle, high = statistics.quantiles(values, n=4)
        line = f"{what}, {name}"
        sys.stdout.write(f"{line:52}{middle:8.2f} {shown} ({low:.2f} to {high:.2f}, n={count})\n")


def main() -> None:
    """Print the table."""
    with ExitStack() as ends:
        root = ends.enter_context(running_lab())
        user = ends.enter_context(running_rootless_lab())
        kinds = ("with root", "without")
        for network in ("none", "bridge"):
            both = tuple(lambda lab=lab: api_start(lab, network) for lab in (root, user))  # noqa: B023
            compare(f"API start, network {network}", "ms", kinds, both)  # type: ignore[arg-type]
        podman = Podman(user)
        ends.callback(podman.end)
        own = user.argv("run", "--rm", "--network", "none", IMAGE, "true")
        names = ("podman", "labkit")
        compare("run --rm without root", "ms", names, (podman.run, lambda: command(own, user.env)))
        servers(user, ends)
        both = (lambda: throughput(PORT + 1), lambda: throughput(PORT))
        compare("a published port", "Gbit/s", ("pasta", "labkit"), both)


if __name__ == "__main__":
    main()
