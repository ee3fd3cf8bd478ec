"""The learner's file: where it is, how it begins, and the tools for each stage."""

import ast
import importlib
import inspect
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.course.capstone import given, layout
from labkit.course.capstone.place import busybox_root
from labkit.course.figures.table import Table

RUN_TIMEOUT_S = 120
OWN_MOUNTS = (
    *("unshare", "--mount", "--propagation", "private"),
    *("sh", "-c", 'mount --make-rshared / && exec "$@"', "sh"),
)
"""The words before a command that give it its own mounts, shared as the machine's are."""
START = '''"""mini: a container engine in one file, on labkit.kernel alone."""

import os

from labkit.course.capstone import given


def run(box):
    """Start box.command, stay with it, and return its exit status."""
    raise SystemExit("mini: stage 1 is still to be written")


if __name__ == "__main__":
    given.command_line(run)
'''
"""The file as it is handed out."""

TOOLS = {
    1: "os.fork os.execvpe os.wait os.waitstatus_to_exitcode signal.signal os.kill",
    2: "processes.clone namespaces.FLAGS mounts.mount mounts.pivot_root mounts.unmount "
    "processes.close_all_but processes.close_on_exec_from given.folder given.remove_folder",
    3: "namespaces.FLAGS mounts.mount os.wait given.DEVICES",
    4: "namespaces.FLAGS namespaces.set_hostname",
    5: "tarfile.open os.mknod os.setxattr overlay.OPAQUE overlay.options "
    "given.STATE given.blob given.folder",
    6: "mounts.parse_mountinfo given.FILES given.GROUP os.pipe namespaces.unshare "
    "given.remove_group",
    7: "capabilities.mask capabilities.last_capability capabilities.drop_from_bounding_set "
    "capabilities.set_capabilities processes.prctl seccomp_profile.compile_filter seccomp.load "
    "given.CAPABILITIES given.MASKED given.READ_ONLY",
    8: "network.netlink.RouteSocket network.links.make_bridge network.links.Veth "
    "network.links.make_veth network.links.add_address network.links.switch_on "
    "network.links.add_default_route network.links.every_link network.links.delete "
    "network.loopback.bring_up given.BRIDGE given.GATEWAY",
    9: "os.setsid os.dup2 processes.start_time processes.open_pidfd processes.send_signal "
    "namespaces.setns given.folder given.record given.wait_until",
    10: "given.fetch given.blob hashlib.sha256 given.write_index os.rename",
    11: "user_namespaces.make user_namespaces.enter user_namespaces.act_as trees.clone_tree "
    "trees.map_ids trees.attach given.FIRST_ID given.IDS",
}
"""The tools for each stage: parts of labkit.kernel, of `given`, or of Python."""
KERNEL = frozenset(
    """
    capabilities mounts namespaces network overlay processes seccomp seccomp_profile trees
    user_namespaces""".split()
)


def path() -> str:
    """The path of the learner's file: `mini/mini.py` beside the page, or MINI_FILE."""
    return os.environ.get("MINI_FILE") or os.path.abspath("mini/mini.py")


def begin() -> None:
    """Make the file, a root to try it with, and an image, unless they exist."""
    folder = os.path.dirname(path())
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(path()):
        with open(path(), "w", encoding="utf-8") as file:
            file.write(START)
    if not os.path.exists(f"{folder}/root"):
        busybox_root(f"{folder}/root")
    if not os.path.exists(f"{folder}/image"):
        layers = layout.three_layers(f"{folder}/root", "the third layer's\n")
        layout.write(f"{folder}/image", layers)
    print("Your engine is mini/mini.py, beside this page: open it in the file browser.")
    print("mini/root is a root for its containers, mini/image an image of three layers.")


def mini(words: str) -> None:
    """Run the learner's engine with these words, in its folder, and print its output.

    It has its own table of mounts, shared as the machine's usually is: a mount that a mistake
    leaves behind ends with it.
    """
    result = subprocess.run(
        [*OWN_MOUNTS, sys.executable, path(), *shlex.split(words)],
        cwd=os.path.dirname(path()),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    print(result.stdout, end="")
    print(f"status: {result.returncode}")


def clean() -> None:
    """Remove mini's files on the disk, except the learner's file, the root and the image."""
    state = Path(environment()["MINI_STATE"])
    if state.exists():
        given.remove_folder(state)


def environment() -> dict[str, str]:
    """The variables that mini gets: its state is beside its file."""
    return {**os.environ, "MINI_STATE": f"{os.path.dirname(path())}/state"}


def tools(stage: int) -> Table:
    """The tools of a stage: how each is called, and what it does."""
    rows = tuple(_row(name) for name in TOOLS[stage].split())
    return Table(("where", "what", "what it does"), rows, f"Tools for stage {stage}")


def _row(name: str) -> tuple[str, str, str]:
    home, _, last = name.rpartition(".")
    if home == "given":
        home = "labkit.course.capstone.given"
    where = f"labkit.kernel.{home}" if home.partition(".")[0] in KERNEL else home
    thing = getattr(importlib.import_module(where), last)
    shown = where.removeprefix("labkit.course.capstone.")
    if not callable(thing):
        return shown, last, _words_below(where, last)
    said = (inspect.getdoc(thing) or "").partition("\n")[0]
    if inspect.isbuiltin(thing) or not where.startswith("labkit"):
        return shown, f"{last}(…)", said
    return shown, last + _parameters(thing), said


def _parameters(thing: Callable[..., Any]) -> str:
    """How a function is called and what type its result has, with short names of types."""
    words = str(inspect.signature(thing)).removesuffix(" -> None")
    return re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", words)


def _words_below(where: str, name: str) -> str:
    """The text below a constant in its module."""
    body = ast.parse(inspect.getsource(importlib.import_module(where))).body
    for statement, words in itertools.pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(words, ast.Expr):
            names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            if name in names and isinstance(words.value, ast.Constant):
                return str(words.value.value).replace("\n", " ")
    return ""
