"""`labkit VERB …`: the module of each verb, and the end of a command.

Only the module of the given verb is imported, for the user waits for every millisecond.
"""

import gc
import os
import sys

from labkit import __version__
from labkit.cli.base.errors import BROKEN_PIPE, INTERRUPTED, UsageError, report, say
from labkit.cli.base.flags import Flag, HelpRequested, parse
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.cli.base.command import Verb

VERBS: dict[str, dict[str, tuple[str, str]]] = {
    "Containers": {
        "run": ("containers.run", "Create and run a new container from an image"),
        "create": ("containers.create", "Create a new container"),
        "start": ("containers.start", "Start one or more stopped containers"),
        "exec": ("containers.exec", "Start another process in a running container"),
        "attach": ("containers.attach", "Join the terminal or streams of a running container"),
        "ps": ("containers.ps", "List containers"),
        "logs": ("containers.logs", "Show the output of a container"),
        "top": ("containers.top", "Show the processes of a container"),
        "stats": ("containers.stats", "Show the resources that containers use, live"),
        "port": ("containers.port", "List the published ports of a container"),
        "diff": ("containers.diff", "Show the files that a container has changed"),
        "cp": ("containers.cp", "Copy files between a container and this machine"),
        "commit": ("containers.commit", "Make an image of a container and its changes"),
        "export": ("containers.export", "Write a container's file system as a tar archive"),
        "wait": ("containers.wait", "Wait until containers stop, and print their exit codes"),
        "pause": ("containers.pause", "Freeze running containers"),
        "unpause": ("containers.unpause", "Let paused containers continue"),
        "stop": ("containers.stop", "Stop one or more running containers"),
        "kill": ("containers.kill", "Kill one or more running containers"),
        "restart": ("containers.restart", "Stop containers, and start them again"),
        "rename": ("containers.rename", "Give a container another name"),
        "update": ("containers.update", "Change the limits and the restart policy of containers"),
        "rm": ("containers.rm", "Remove one or more containers"),
        "container prune": ("containers.prune", "Remove all stopped containers"),
    },
    "Images": {
        "images": ("images.ls", "List images"),
        "build": ("images.build", "Make an image from a Dockerfile"),
        "history": ("images.history", "Show the origin of an image, layer by layer"),
        "tag": ("images.tag", "Give an image one more name"),
        "rmi": ("images.rm", "Remove one or more images"),
        "save": ("images.save", "Write images as one archive"),
        "load": ("images.load", "Load the images of such an archive"),
        "pull": ("images.pull", "Get an image from a registry"),
        "push": ("images.push", "Copy an image to a registry"),
        "search": ("images.search", "Search a registry for images"),
        "login": ("registry.login", "Log in to a registry"),
        "logout": ("registry.logout", "Forget the credentials for a registry"),
        "import": ("images.import_", "Make an image from the archive of a file system"),
        "image prune": ("images.prune", "Remove unused images"),
    },
    "Networks": {
        "network create": ("networks.create", "Create a network"),
        "network ls": ("networks.ls", "List networks"),
        "network connect": ("networks.connect", "Put a container on a network"),
        "network disconnect": ("networks.disconnect", "Take a container off a network"),
        "network rm": ("networks.rm", "Remove one or more networks"),
        "network prune": ("networks.prune", "Remove the networks that no container is on"),
    },
    "Volumes": {
        "volume create": ("volumes.create", "Create a volume"),
        "volume ls": ("volumes.ls", "List volumes"),
        "volume rm": ("volumes.rm", "Remove one or more volumes"),
        "volume prune": ("volumes.prune", "Remove the volumes that no container uses"),
    },
    "The registry": {
        "registry serve": ("registry.serve", "Run a registry, in the foreground"),
        "registry gc": ("registry.gc", "Remove unused blobs of a registry"),
        "registry passwd": ("registry.passwd", "Give a user of a registry a password"),
    },
    "The lab disk": {
        "lab-disk make": ("lab_disk.make", "Make a disk to try limits on"),
        "lab-disk show": ("lab_disk.show", "Show the lab disk"),
        "lab-disk remove": ("lab_disk.remove", "Remove the lab disk"),
    },
    "The course": {
        "course": ("course.folder", "Make your own folder with the course's pages"),
        "exercises check": ("course.check", "Ask the kernel whether an exercise is done"),
        "exercises submit": ("course.submit", "Hand in the notebook of a chapter's exercises"),
        "exercises release": ("course.release", "Write the learners' version of the exercises"),
        "exercises new": ("course.new", "Make a skeleton for your own exercises"),
        "grade": ("course.grade", "Grade notebooks, each in a throw-away engine"),
    },
    "The engine": {
        "inspect": ("engine.inspect", "Show all about one object of any kind, as JSON"),
        "events": ("engine.events", "Show the engine's events, live"),
        "states": ("engine.states", "Show the states of a container's life, and its transitions"),
        "info": ("engine.info", "Show facts about the engine"),
        "system prune": ("engine.prune", "Remove all unused objects"),
        "system dial-stdio": (
            "engine.dial_stdio",
            "Connect stdin and stdout with the daemon, as for ssh",
        ),
        "system df": ("engine.disk_usage", "Show the use of the disk"),
        "version": ("engine.version", "Show the versions of the command and the engine"),
        "doctor": ("engine.doctor", "Check the features of this machine"),
        "delegate": ("engine.delegate", "Give cgroups to a user, to limit without root"),
        "daemon": ("engine.daemon", "Run the engine's daemon, labkitd, in the foreground"),
    },
}
"""Each verb: its module in `labkit.cli`, and its summary; in the order and groups of the help."""

GROUPS = {
    "container": "Containers",
    "exercises": "The course",
    "image": "Images",
    "lab-disk": "The lab disk",
    "registry": "The registry",
    "system": "The engine",
    "network": "Networks",
    "volume": "Volumes",
}
"""Words that may precede the verbs of a group, as in `labkit container stop`."""

ALIASES: dict[str, tuple[str, ...]] = {
    "container inspect": ("inspect", "--type", "container"),
    "container list": ("ps",),
    "container ls": ("ps",),
    "container remove": ("rm",),
    "image inspect": ("inspect", "--type", "image"),
    "image list": ("images",),
    "image ls": ("images",),
    "image remove": ("rmi",),
    "image rm": ("rmi",),
    "network inspect": ("inspect", "--type", "network"),
    "network list": ("network ls",),
    "network remove": ("network rm",),
    "volume inspect": ("inspect", "--type", "volume"),
    "volume list": ("volume ls",),
    "volume remove": ("volume rm",),
}
"""Docker's other names of verbs, and their meaning."""

FLAGS = (
    Flag("root", "", "string", "The folder of images and containers"),
    Flag("run", "", "string", "The folder of the socket"),
    Flag("version", "v", "bool", "Print the version and exit"),
)

FEWEST_OBJECTS_TO_COLLECT = 50_000
"""A command that runs long, such as `stats`, makes so many one day; the others never do."""


def main(words: "Sequence[str] | None" = None) -> int:
    """Run a command line and return its exit code; without `words` this process's, and exit."""
    _fill_standard_streams()
    if words is None:
        # The imported objects stay in use, and the collector would scan them a dozen times.
        gc.set_threshold(FEWEST_OBJECTS_TO_COLLECT)
    exit_code = _guarded(sys.argv[1:] if words is None else list(words))
    if words is None:
        # The interpreter's own clean-up would take 4 of a command's 25 ms, for nothing.
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


def _fill_standard_streams() -> None:
    """Put /dev/null in the place of those that our caller has closed (`>&-`).

    Otherwise the next file or socket would get the number of one of them.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: `fd`
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r"))


def _guarded(words: list[str]) -> int:
    try:
        exit_code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return BROKEN_PIPE  # the reader of the output has closed it, as in `labkit ps | head -1`
    except OSError as error:
        say(f"cannot write the output: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return exit_code


def _run(words: list[str]) -> int:
    verb, failure = "", 1
    try:
        options, rest = parse(FLAGS, words, interspersed=False)
        if options["version"]:
            print(f"labkit version {__version__}")
            return 0
        if not rest:
            return _print_help()
        spoken, *rest = one_verb(rest)
        module = find(spoken)
        verb, failure = spoken, module.COMMAND.failure
        return _run_verb(module, verb, options, rest)
    except HelpRequested as asked:
        return _print_help(*asked.args)
    except LabkitError as error:
        return report(error, verb, failure)


def _run_verb(module: "Verb", verb: str, given: dict[str, str], words: list[str]) -> int:
    command = module.COMMAND
    try:
        options, arguments = parse(command.flags, words, interspersed=command.interspersed)
    except HelpRequested:
        from labkit.cli.base.help import command_help  # noqa: PLC0415 only on request

        print(command_help(verb, summary(verb), command))
        return 0
    command.check_count(verb, arguments)
    from labkit.cli.base.command import Context  # noqa: PLC0415 the module has imported it

    return module.execute(Context(given["root"], given["run"]), options, arguments)


def one_verb(words: list[str]) -> list[str]:
    """Return the words with the verb first: `container stop` is `stop`, `volume ls` one verb.

    HelpRequested, with the group's title, for a group without a verb.
    """
    first, *rest = words
    if first not in GROUPS:
        return words
    if not rest or rest[0] in ("--help", "-h"):
        raise HelpRequested(GROUPS[first])
    second, *rest = rest
    both = f"{first} {second}"
    if both in ALIASES:
        return [*ALIASES[both], *rest]
    return [second if second in VERBS[GROUPS[first]] else both, *rest]


def find(verb: str) -> "Verb":
    """Return the module of a verb; UsageError, with the nearest verb, if there is none."""
    for verbs in VERBS.values():
        if verb in verbs:
            name = f"labkit.cli.{verbs[verb][0]}"
            __import__(name)  # importlib would import `warnings`, half a millisecond
            return sys.modules[name]  # type: ignore[return-value]  # a verb's module is a Verb
    import difflib  # noqa: PLC0415 only after a typing error

    close = difflib.get_close_matches(verb, [name for verbs in VERBS.values() for name in verbs], 1)
    meant = f" (did you mean 'labkit {close[0]}'?)" if close else ""
    raise UsageError(f"unknown command: labkit {verb}{meant}")


def summary(verb: str) -> str:
    """Return the summary of a verb, one line."""
    return next(verbs[verb][1] for verbs in VERBS.values() if verb in verbs)


def _print_help(title: str = "") -> int:
    from labkit.cli.base.help import overview  # noqa: PLC0415 only on request

    shown = VERBS
    if title:
        others = {
            name: ("", f"The same as labkit {' '.join(words)}")
            for name, words in ALIASES.items()
            if GROUPS[name.partition(" ")[0]] == title
        }
        shown = {title: VERBS[title]} | ({"Other names": others} if others else {})
    print(overview(shown, FLAGS))
    return 0
