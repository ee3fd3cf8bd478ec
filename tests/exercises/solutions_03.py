"""Ways through the exercises of chapter 3: layers."""

import os
import subprocess
from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker


def flat(source: str, target: str) -> Way:
    """One layer with the files of an image."""

    def way(bench: Bench) -> None:
        name = f"flat-{bench.v.mark}"
        bench.docker(f"create --name {name} {{{source}}} true")
        archive = bench.place.path(f"{name}.tar")
        bench.docker(f"export -o {archive} {name}")
        bench.docker(f"import {archive} {{{target}}}")
        os.unlink(archive)

    return way


def built(bench: Bench, target: str, *lines: str) -> None:
    folder = Path(bench.place.path(f"context-{bench.v.mark}"))
    folder.mkdir(exist_ok=True)
    values = dict(bench.v)
    (folder / "Dockerfile").write_text("\n".join(line.format_map(values) for line in lines) + "\n")
    bench.docker(f"build -q -t {{{target}}} {folder}")


def marks(device: int = 0, kind: int = 0o020600, opaque: bytes = b"y") -> Way:
    def way(bench: Bench) -> None:
        upper = Path(bench.place.path(bench.v.upper))
        upper.mkdir()
        os.mknod(upper / bench.v.gone, kind, device)
        (upper / bench.v.hidden).mkdir()
        if opaque:
            os.setxattr(upper / bench.v.hidden, "trusted.overlay.opaque", opaque)

    return way


def union(order: str = "{middle}:{bottom}", top: str = "top", word: str = "{word}") -> Way:
    def way(bench: Bench) -> None:
        values = dict(bench.v)
        path = bench.place.path
        for name in (bench.v.union, bench.v.top, f"work-{bench.v.mark}", f"other-{bench.v.mark}"):
            os.makedirs(path(name), exist_ok=True)
        lower = ":".join(path(name) for name in order.format_map(values).split(":"))
        upper = path(values[top]) if top in values else path(f"{top}-{bench.v.mark}")
        options = f"lowerdir={lower},upperdir={upper},workdir={path(f'work-{bench.v.mark}')}"
        words = ["mount", "-t", "overlay", "overlay", "-o", options, path(bench.v.union)]
        subprocess.run(words, check=True)
        if word:
            Path(path(bench.v.union), bench.v.file).write_text(word.format_map(values) + "\n")

    return way


WRITER = 'run --name {{name}} busybox sh -c "{}"'
ADD, CHANGE, REMOVE = "mkdir -p /srv; touch {added}", "echo x >> {changed}", "rm {removed}"


def writer(*steps: str) -> Way:
    return docker(WRITER.format("; ".join(steps)))


def recipe(lines: tuple[str, ...]) -> Way:
    def way(bench: Bench) -> None:
        text = "\n".join(line.format_map(dict(bench.v)) for line in lines) + "\n"
        Path(bench.place.path(f"{bench.v.site}/Dockerfile")).write_text(text)

    return way


REMADE = (
    "FROM busybox",
    "RUN mkdir -p /srv && echo {_word} > {_added} && chmod 600 {_closed}",
    "RUN rm {_removed}",
)
ATTEMPTS = {
    "03.1": Attempts(
        flat("big", "small"),
        {
            "only another name": Wrong(docker("tag {big} {small}"), 3, "is still in the layer"),
            "without the file": Wrong(docker("tag busybox {small}"), 0, "different at /srv"),
            "built on it": Wrong(
                lambda b: built(b, "small", "FROM {big}", "RUN rm -f /srv/ballast"),
                3,
                "asked for: at most",
            ),
        },
    ),
    "03.2": Attempts(
        lambda b: built(b, "clean", "FROM busybox", "COPY --from={leaky} /srv/{app} /srv/{app}"),
        {
            "only another name": Wrong(docker("tag {leaky} {clean}"), 2, "in a layer"),
            "without the program": Wrong(docker("tag busybox {clean}"), 0, "missing"),
            "in a label": Wrong(
                lambda b: built(
                    b,
                    "clean",
                    "FROM busybox",
                    "COPY --from={leaky} /srv/{app} /srv/{app}",
                    "LABEL key={secret}",
                ),
                2,
                "the configuration",
            ),
        },
    ),
    "03.3": Attempts(
        marks(),
        {
            "another device": Wrong(marks(os.makedev(1, 3)), 3, "another kind of file"),
            "an empty file": Wrong(marks(kind=0o100600), 3, "another kind of file"),
            "not opaque": Wrong(marks(opaque=b""), 3, "an ordinary folder"),
        },
    ),
    "03.4": Attempts(
        union(),
        {
            "the wrong way round": Wrong(union("{bottom}:{middle}"), 5, "first named is on top"),
            "nothing written": Wrong(union(word=""), 5, "nothing; asked for"),
            "another folder": Wrong(union(top="other"), 4, "the folder that is written to"),
        },
    ),
    "03.5": Attempts(
        writer(ADD, CHANGE, REMOVE),
        {
            "one left out": Wrong(writer(ADD, CHANGE), 2, "as it was"),
            "something else": Wrong(
                writer(ADD, CHANGE, REMOVE, "touch /tmp/more"), 3, "its other changes"
            ),
            "nothing": Wrong(writer("true"), 0, "as it was; asked for: added"),
        },
    ),
    "03.6": Attempts(
        recipe(REMADE),
        {
            "the committed image itself": Wrong(recipe(("FROM {made}",)), 0, "the layer of made"),
            "one file too many": Wrong(recipe(REMADE[:-1]), 2, "different at /bin"),
            "other rights": Wrong(
                recipe((*REMADE, "RUN chmod 644 {_closed}")), 2, "different at /etc"
            ),
            "not yet": Wrong(recipe(("FROM nothing-like-it",)), 0, "no image"),
        },
    ),
}
