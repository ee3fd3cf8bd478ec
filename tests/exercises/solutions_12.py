"""Ways through the exercises of chapter 12: networks."""

import subprocess

from labkit.course.exercises import network_looks as looks
from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker

SLEEP = "busybox sleep 1000"
WEB = 'busybox sh -c "mkdir /w; exec httpd -f -p 80 -h /w"'
NAMES = "one", "two", "three"


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def named(network: str) -> Way:
    return docker(
        *(f"run -d --name {{{n}}} --network {network} {SLEEP}" for n in ("first", "second"))
    )


def rooms(bench: Bench, *, plugged: int = 3, addresses: bool = True) -> None:
    v = bench.v
    run("ip", "link", "add", v.bridge, "type", "bridge")
    run("ip", "link", "set", v.bridge, "up")
    for at, name in enumerate(NAMES):
        bench_values = {"seconds": v[name]}
        process = subprocess.Popen(["unshare", "--net", "sleep", str(bench_values["seconds"])])
        bench.lab_processes.append(process)
        while not bench.place.started("sleep", str(v[name])):
            pass
        cable = f"r{at}-{v.mark}"
        run(
            "ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", process.pid
        )
        if at < plugged:
            run("ip", "link", "set", cable, "master", v.bridge, "up")
        inside = ("nsenter", f"--net=/proc/{process.pid}/ns/net", "ip")
        if addresses:
            run(*inside, "addr", "add", f"{v[f'address_{name}']}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")


def mend(bench: Bench, *, whole: bool = True) -> None:
    seen = bench.place.container(bench.v.name)
    assert seen is not None
    info = bench.place.network(bench.v.network)
    assert info is not None
    config = info["IPAM"]["Config"][0]
    gateway, length = config["Gateway"], config["Subnet"].partition("/")[2]
    address = seen.attrs["NetworkSettings"]["Networks"][bench.v.network]["IPAddress"]
    inside = ("nsenter", f"--net=/proc/{seen.pid}/ns/net", "ip")
    peer = next(link for link in looks.links(seen.pid) if link["name"] == "eth0")["peer"]
    end = next(link["name"] for link in looks.own_links() if link["index"] == peer)
    bridge = next(link["name"] for link in looks.own_links() if gateway in link["addresses"])
    run("ip", "link", "set", end, "master", bridge, "up")
    run(*inside, "addr", "replace", f"{address}/{length}", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    if whole:
        run(*inside, "route", "replace", "default", "via", gateway)
    else:
        run(*inside, "route", "flush", "default")


def broken_and_restarted(bench: Bench) -> None:
    bench.docker("restart -t 0 {name}")


INNER = "network create --internal {network}"
OUTER = "network create {network}"
BOTH = tuple(f"run -d --name {{{n}}} --network {{network}} {SLEEP}" for n in ("name", "other"))


def own_network() -> Way:
    def way(bench: Bench) -> None:
        name = f"net-{bench.v.mark}"
        bench.docker(f"network create {name}")
        for each in ("first", "second"):
            bench.docker(f"run -d --name {{{each}}} --network {name} {SLEEP}")

    return way


def two_networks(bench: Bench) -> None:
    for each in ("first", "second"):
        name = f"{each}net-{bench.v.mark}"
        bench.docker(f"network create {name}")
        bench.docker(f"run -d --name {{{each}}} --network {name} {SLEEP}")


ATTEMPTS = {
    "12.1": Attempts(
        own_network(),
        {
            "the usual network": Wrong(named("bridge"), 2, "on a network that you made"),
            "two networks": Wrong(two_networks, 2, "asked from"),
            "one shares the other's": Wrong(
                docker(
                    f"run -d --name {{first}} {SLEEP}",
                    f"run -d --name {{second}} --network container:{{first}} {SLEEP}",
                ),
                2,
                "the address of",
            ),
        },
    ),
    "12.2": Attempts(
        rooms,
        {
            "one cable is loose": Wrong(lambda b: rooms(b, plugged=2), 1, "2 cables"),
            "no addresses": Wrong(lambda b: rooms(b, addresses=False), 3, "0 of 6"),
            "all in the host's network": Wrong(
                lambda b: (
                    [
                        b.lab_processes.append(subprocess.Popen(["sleep", str(b.v[n])]))
                        for n in NAMES
                    ]
                    and None
                ),
                0,
                "without any cable",
            ),
        },
    ),
    "12.3": Attempts(
        docker(f"run -d --name {{name}} -p 127.0.0.1:{{port}}:80 {WEB}"),
        {
            "for everybody": Wrong(
                docker(f"run -d --name {{name}} -p {{port}}:80 {WEB}"), 4, "it answers at"
            ),
            "not published": Wrong(docker(f"run -d --name {{name}} {WEB}"), 1, "no answer"),
            "no server": Wrong(
                docker(f"run -d --name {{name}} -p 127.0.0.1:{{port}}:80 --network none {SLEEP}"),
                1,
                "no answer; asked for",
            ),
        },
    ),
    "12.4": Attempts(
        docker(INNER, *BOTH),
        {
            "with a way out": Wrong(docker(OUTER, *BOTH), 5, "has no gateway"),
            "the usual network": Wrong(
                docker(*(command.replace("--network {network}", "") for command in BOTH)),
                2,
                "no answer",
            ),
            "no network at all": Wrong(
                docker(*(command.replace("{network}", "none") for command in BOTH)), 2, "no answer"
            ),
        },
    ),
    "12.5": Attempts(
        mend,
        {
            "half": Wrong(lambda b: mend(b, whole=False), 0, "without the way beyond"),
            "restarted": Wrong(broken_and_restarted, 5, "another one; asked for"),
            "looked at only": Wrong(docker("inspect {name}"), 0, "asked for"),
        },
    ),
}
