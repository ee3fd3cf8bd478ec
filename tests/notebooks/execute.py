"""Run notebooks and write their outputs into them: `python -m tests.notebooks.execute [PATH…]`.

After a change of a cell in JupyterLab, this makes the outputs that are committed, always in the same
way: in a lab of its own, in a fresh kernel, and without values that differ between runs for no
reason (times of execution, ids of widgets, the temporary names of that lab).  Cells that compare a
prediction with the result keep no output: the learner has to run them.  What they said is kept for the
editions without a lab.  Without a path, all run.

The lab's cgroups and links have plain names, since figures show them: one run waits for another.
"""

import errno
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from labkit.course.editions.pages import ANSWERS
from tests import leaks
from tests.lab import Lab, remove_template
from tests.notebooks.notebooks import EVERY, code_cells, is_answer, name_of, read
from tests.notebooks.places import CELL_TIMEOUT_S, environment, make_debian, needs_debian

CGROUP_PARENT, LINK_PREFIX = "labkit-pages", "page"
TURN = "\0labkit-notebooks-execute"
"""An abstract socket (unix(7)): the run that has bound it is the one that uses these names."""
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def execute(path: Path, lab: Lab, folder: str) -> Any:
    """The notebook as it is after a run; the first cell that fails ends it with its error."""
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=environment(lab, folder), cwd=str(path.parent))
    notebook.metadata = METADATA
    keep_answers(path.name[:2], notebook)
    for cell in code_cells(notebook):
        kept = [] if is_answer(cell) else cell.outputs
        cell.outputs = [_lasting(output, lab) for output in kept]
    return notebook


def keep_answers(chapter: str, notebook: Any) -> None:
    """Keep what the cells said that compare a prediction: the editions without a lab show it."""
    said = {
        cell.id.replace("beside-", "predict-"): cell.outputs[-1]["data"]["text/plain"]
        for cell in code_cells(notebook)
        if is_answer(cell)
    }
    every = json.loads(Path(ANSWERS).read_text(encoding="utf-8"))
    if said:
        every[chapter] = said
    text = json.dumps(dict(sorted(every.items())), ensure_ascii=False, indent=1)
    Path(ANSWERS).write_text(f"{text}\n", encoding="utf-8")


def _lasting(output: Any, lab: Lab) -> Any:
    """The output as it is committed: a widget leaves its words, a lab's name becomes the usual."""
    if output.output_type == "stream":
        output.text = _usual_names(output.text, lab)
    elif "data" in output:
        output.data.pop(WIDGET_VIEW, None)
        output.data = {
            kind: _usual_names(data, lab) if kind.startswith("text/") else data
            for kind, data in output.data.items()
        }
    return output


def _usual_names(text: str, lab: Lab) -> str:
    names = {lab.cgroup_parent: "labkit", lab.root: "/var/lib/labkit", lab.run: "/run/labkit"}
    for name, usual in names.items():
        text = text.replace(name, usual)
    return text


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other run uses the names."""
    with socket.socket(socket.AF_UNIX) as turn:
        while True:
            try:
                turn.bind(TURN)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            time.sleep(1)
        yield


@contextmanager
def _named_lab() -> Iterator[Lab]:
    """A running lab with the names that readers see in figures."""
    lab = Lab()
    lab.cgroup_parent, lab.link_prefix = CGROUP_PARENT, LINK_PREFIX
    lab.env |= {"LABKIT_CGROUP_PARENT": CGROUP_PARENT, "LABKIT_LINK_PREFIX": LINK_PREFIX}
    leaks.ENGINE_NAMES.update((CGROUP_PARENT, LINK_PREFIX))
    try:
        lab.start_daemon()
        yield lab
    finally:
        lab.close()


def main(arguments: list[str]) -> int:
    """Run the notebooks named, or all."""
    paths = [Path(argument).resolve() for argument in arguments] or EVERY
    try:
        prefix = f"{leaks.RUN_NAME}-nb-"
        with _turn(), _named_lab() as lab, tempfile.TemporaryDirectory(prefix=prefix) as folder:
            if any(map(needs_debian, paths)):
                make_debian(lab)
            for path in paths:
                begin = time.monotonic()
                notebook = execute(path, lab, folder)
                path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
                print(f"{name_of(path)}: {time.monotonic() - begin:.0f} s", flush=True)
    finally:
        remove_template()
    return 0


if __name__ == "__main__":
    # The kernels are ours to leave no file behind for: compiled Python would be one.
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
