"""Ways through the exercises of chapter 0: a first container."""

from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Wrong, docker

SLEEP = "busybox sleep 1000"
START = f"run -d --name {{name}} {SLEEP}"
WRITE = "exec {name} sh -c 'echo {word} > {file}'"


def mounted(bench: Bench) -> None:
    path = Path(bench.place.path("file"))
    path.write_text(bench.v.word)
    bench.docker(f"run -d --name {bench.v.name} -v {path}:{bench.v.file} {SLEEP}")


def of_the_image(bench: Bench) -> None:
    folder = Path(bench.place.path("image"))
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(
        f"FROM busybox\nRUN echo {bench.v.word} > {bench.v.file}\nCMD sleep 1000\n"
    )
    image = f"image-{bench.v.mark}"
    bench.docker(f"build -q -t {image} {folder}")
    bench.docker(f"run -d --name {bench.v.name} {image}")


def exits(bench: Bench) -> None:
    bench.docker("run --name {name} busybox sh -c 'exit {code}'", check=False)


ATTEMPTS = {
    "00.1": Attempts(
        docker(f"run -d --name {{name}} --hostname {{host}} {SLEEP}"),
        {
            "none given": Wrong(docker(START), 2, "not the container's name"),
            "the container's name": Wrong(
                docker(f"run -d --name {{name}} --hostname {{name}} {SLEEP}"), 2, "its host name"
            ),
            "it ended": Wrong(
                docker("run --name {name} --hostname {host} busybox true"), 0, "exited"
            ),
            "the host's": Wrong(
                docker(f"run -d --name {{name}} --uts host {SLEEP}"), 2, "that of the host"
            ),
        },
    ),
    "00.2": Attempts(
        docker(f"run -d --name {{name}} --pid host {SLEEP}"),
        {
            "its own": Wrong(docker(START), 1, "the processes that it sees: its own"),
            "the network as well": Wrong(
                docker(f"run -d --name {{name}} --pid host --network host {SLEEP}"),
                4,
                "the host's for net",
            ),
            "only the network": Wrong(
                docker(f"run -d --name {{name}} --network host {SLEEP}"), 1, "by itself"
            ),
        },
    ),
    "00.3": Attempts(
        exits,
        {
            "it runs": Wrong(docker(START), 0, "running; asked for: exited"),
            "another status": Wrong(docker("run --name {name} busybox true"), 2, "0; asked for"),
            "removed": Wrong(docker("run --rm --name {name} busybox true"), 0, "no such container"),
        },
    ),
    "00.4": Attempts(
        docker(START, WRITE),
        {
            "a file of the host": Wrong(mounted, 4, "is not the container's alone"),
            "a file of the image": Wrong(of_the_image, 4, "in the image, or on the host"),
            "nothing written": Wrong(docker(START), 1, "no such file"),
            "another word": Wrong(
                docker(START, "exec {name} sh -c 'echo no > {file}'"), 1, "no; asked for"
            ),
        },
    ),
}
