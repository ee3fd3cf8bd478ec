"""Ways through the exercises of chapter 5: the instructions."""

from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker


def built(*lines: str, script: str = "") -> Way:
    def way(bench: Bench) -> None:
        folder = Path(bench.place.path("built"))
        folder.mkdir(exist_ok=True)
        text = "\n".join(lines)
        for name, value in bench.v.items():
            text = text.replace(f"<{name}>", str(value))
        (folder / "Dockerfile").write_text(text)
        (folder / "run.sh").write_text(script)
        bench.docker(f"build -q -t {bench.v.image} {folder}")

    return way


FROM = "FROM busybox"
TRAP = "trap 'exit 0' TERM\nsleep 100000 & wait\n"


def server(script: str) -> Way:
    return built(FROM, "COPY run.sh /", 'CMD ["sh", "/run.sh"]', script=script)


STAGE = ("FROM busybox AS tools", "RUN cp /bin/busybox /echo", "FROM scratch")
SAY = 'ENTRYPOINT ["/echo", "<line>"]'
WRITE = "run {more} --name {{{who}}} -v {volume}:/d busybox sh -c 'echo {{{word}}} >> /d/days'"


def write(who: str, word: str, more: str = "--rm", volume: str = "{diary}") -> str:
    return WRITE.format(who=who, word=word, more=more, volume=volume)


def patient(health: str) -> Way:
    return docker(f"run -d --name {{name}} {health} busybox sh -c 'touch {{file}}; sleep 1000'")


CHECK = "--health-cmd 'test -e {file}'"
ATTEMPTS = {
    "05.1": Attempts(
        built(FROM, 'ENTRYPOINT ["echo", "<greeting>"]', 'CMD ["<name>"]'),
        {
            "a default alone": Wrong(
                built(FROM, 'CMD ["echo", "<greeting>", "<name>"]'), 2, "it does not start"
            ),
            "fixed words alone": Wrong(
                built(FROM, 'ENTRYPOINT ["echo", "<greeting>"]'), 4, "the default words"
            ),
            "through a shell": Wrong(
                built(FROM, "ENTRYPOINT echo <greeting> <name>"), 2, "takes no further words"
            ),
            "all fixed": Wrong(
                built(FROM, 'ENTRYPOINT ["echo", "<greeting>", "<name>"]'), 2, "run with one word"
            ),
        },
    ),
    "05.2": Attempts(
        server(TRAP),
        {
            "deaf": Wrong(built(FROM, 'CMD ["sleep", "100000"]'), 0, "it ignores it"),
            "busy with a command": Wrong(
                server("trap 'exit 0' TERM\nsleep 100000\n"), 2, "between two commands"
            ),
            "another status": Wrong(
                server(TRAP.replace("exit 0", "exit 143")), 5, "143; asked for: 0"
            ),
            "it ends by itself": Wrong(built(FROM, 'CMD ["true"]'), 0, "it has ended"),
        },
    ),
    "05.3": Attempts(
        built(*STAGE, "COPY --from=tools /echo /echo", SAY),
        {
            "one stage": Wrong(built(FROM, 'CMD ["echo", "<line>"]'), 5, "its shells: ash"),
            "two layers": Wrong(
                built(
                    *STAGE,
                    "COPY --from=tools /echo /echo",
                    "COPY --from=tools /etc/passwd /etc/",
                    SAY,
                ),
                4,
                "takes single files",
            ),
            "with a shell": Wrong(
                built(*STAGE, "COPY --from=tools /bin/ /bin/", 'CMD ["/bin/echo", "<line>"]'),
                5,
                "its shells: ",
            ),
            "it says something else": Wrong(
                built(*STAGE, "COPY --from=tools /echo /echo", 'ENTRYPOINT ["/echo", "no"]'),
                0,
                "its output: 'no'",
            ),
        },
    ),
    "05.4": Attempts(
        docker(write("monday", "first"), write("tuesday", "second")),
        {
            "not removed": Wrong(
                docker(write("monday", "first", ""), write("tuesday", "second", "")), 4, "0 of 2"
            ),
            "each its own folder": Wrong(
                docker(
                    write("monday", "first"), write("tuesday", "second", "--rm", "other-{diary}")
                ),
                0,
                "outlives all containers",
            ),
            "one writes both": Wrong(
                docker(write("monday", "first"), "volume rm {diary}", write("tuesday", "second")),
                0,
                "the file days",
            ),
            "no name": Wrong(
                docker("run --rm --name {monday} -v /d busybox sh -c 'echo {first} > /d/days'"),
                0,
                "there is no such volume",
            ),
        },
    ),
    "05.5": Attempts(
        patient(f"{CHECK} --health-interval 1s --health-retries 2"),
        {
            "no check": Wrong(patient(""), 1, "none is checked"),
            "once in half a minute": Wrong(patient(CHECK), 1, "with /"),
            "always well": Wrong(
                patient("--health-cmd true --health-interval 1s"), 3, "healthy; asked for: unh"
            ),
        },
    ),
}
