"""Ways through the exercises of chapter 4: the Dockerfile."""

from pathlib import Path

from labkit.course.exercises.ex04 import LONG
from tests.exercises.attempts import Attempts, Bench, Way, Wrong


def site(bench: Bench) -> Path:
    return Path(bench.place.path(bench.v.site))


def context(ignore: str, *, build: bool = True, remove: bool = False) -> Way:
    def way(bench: Bench) -> None:
        (site(bench) / ".dockerignore").write_text(ignore)
        if remove:
            (site(bench) / "film.bin").unlink()
            (site(bench) / "logs/old.log").unlink()
        if build:
            bench.docker(f"build -q -t {bench.v.image} {site(bench)}")

    return way


def recipe(*lines: str) -> Way:
    def way(bench: Bench) -> None:
        (site(bench) / "Dockerfile").write_text("\n".join(("FROM busybox", *lines)) + "\n")

    return way


def without_page(bench: Bench) -> None:
    recipe("COPY . /site/")(bench)
    context("*\n")(bench)


def elsewhere(text: str, *, inside: bool = False, outside: bool = True) -> Way:
    def way(bench: Bench) -> None:
        folder = Path(bench.place.path(bench.v.recipes))
        folder.mkdir(exist_ok=True)
        (folder / bench.v.recipe).write_text(text)
        options = f"-f {folder / bench.v.recipe}"
        if inside:
            (site(bench) / "Dockerfile").write_text(text)
            options = ""
        bench.docker(f"build -q -t {bench.v.image} {options} {site(bench)}")
        if not outside:
            (folder / bench.v.recipe).unlink()

    return way


def lean(*lines: str) -> Way:
    def way(bench: Bench) -> None:
        if lines:
            text = "\n".join(("FROM busybox", *lines))
            (site(bench) / "Dockerfile").write_text(text.replace("<size>", str(bench.v.size)))
        bench.docker(f"build -q -t {bench.v.image} {site(bench)}")

    return way


APP = "WORKDIR /app"
COPY = "FROM busybox\nCOPY page.txt /page.txt\n"
MAKE, COUNT = "dd if=/dev/zero of=/lists bs=1000 count=<size>", "wc -c < /lists > /result"
ATTEMPTS = {
    "04.1": Attempts(
        context("film.bin\nlogs\n"),
        {
            "the files removed": Wrong(context("", remove=True), 0, "is not in the folder"),
            "one of two left out": Wrong(
                context("film.bin\n"), 0, "the files that a build sends: 20 kB"
            ),
            "not built": Wrong(context("film.bin\nlogs\n", build=False), 4, "it does not start"),
            "the page left out": Wrong(
                without_page,
                4,
                "Only files that were sent",
            ),
        },
    ),
    "04.2": Attempts(
        recipe(APP, "COPY list.txt /app/", f"RUN {LONG}", "COPY . /app/"),
        {
            "no page": Wrong(
                recipe(APP, "COPY list.txt /app/", f"RUN {LONG}"), 6, "page.txt in the image"
            ),
            "copied first": Wrong(
                recipe(APP, "COPY page.txt list.txt /app/", f"RUN {LONG}"), 0, "made again"
            ),
            "a list of its own": Wrong(
                recipe(APP, "RUN echo > /app/list.txt", f"RUN {LONG}", "COPY . /app/"),
                6,
                "The cache must be missed",
            ),
            "without RUN": Wrong(recipe(APP, "COPY . /app/"), 0, "there is no such step"),
        },
    ),
    "04.3": Attempts(
        elsewhere(COPY),
        {
            "in the folder as well": Wrong(
                elsewhere(COPY, inside=True), 5, "Dockerfile, page.txt; asked for: page.txt"
            ),
            "no recipe kept": Wrong(elsewhere(COPY, outside=False), 2, "there is no such file"),
            "another page": Wrong(
                elsewhere("FROM busybox\nRUN echo no > /page.txt\n"), 0, "/page.txt in the image"
            ),
        },
    ),
    "04.4": Attempts(
        lean(f"RUN {MAKE} && {COUNT} && rm /lists"),
        {
            "as it was": Wrong(lean(), 2, "stays in the earlier layer"),
            "two in one": Wrong(
                lean(f"RUN {MAKE}", f"RUN {COUNT} && rm /lists"), 2, "its layers add"
            ),
            "no result": Wrong(lean("RUN true"), 0, "/result in the image"),
        },
    ),
}
