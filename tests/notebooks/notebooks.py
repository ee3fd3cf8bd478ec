"""The notebooks there are, and how they are kept: ids, tags, outputs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent.parent
FOLDER = PROJECT / "notebooks"
CHAPTERS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
DEMOS = sorted((FOLDER / "demos").glob("*.ipynb"))
EVERY = [*CHAPTERS, *DEMOS]

CHECKED = "nbval-check-output"
"""The tag of a cell whose output is the same each time: nbval compares it."""

CORE = "v2-core"
"""The tag of a cell that also runs where whole chapters take too long: in the emulated machine.

The tagged cells of a chapter run by themselves, without the others.  They are those whose outcome
the kernel decides, and its version of cgroups; what draws pictures is left out.
"""


def name_of(path: Path) -> str:
    """The path from the project's folder on, for test ids and messages."""
    return str(path.relative_to(PROJECT))


def read(path: Path) -> Any:
    """The notebook, in the format's version 4."""
    import nbformat  # noqa: PLC0415 takes a second, and the emulated machine fifteen

    return nbformat.read(path, as_version=4)


def is_checked(cell: Any) -> bool:
    """Whether nbval compares what the cell gives."""
    return CHECKED in cell.metadata.get("tags", [])


def core_of(path: Path) -> str:
    """The text of the notebook with the cells of its core alone."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"] = [
        cell for cell in notebook["cells"] if CORE in cell["metadata"].get("tags", [])
    ]
    return json.dumps(notebook)


def is_question(cell: Any) -> bool:
    """Whether the cell asks for a prediction."""
    return bool(cell.id.startswith("predict-"))


def is_answer(cell: Any) -> bool:
    """Whether the cell puts a prediction beside what happened."""
    return bool(cell.id.startswith("beside-"))


def code_cells(notebook: Any) -> Iterator[Any]:
    """The cells that run."""
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def texts_of(output: Any) -> Iterator[tuple[str, str]]:
    """(kind, text) of every textual part of an output: stream, traceback or MIME data."""
    if output.output_type == "stream":
        yield "stream", output.text
    elif output.output_type == "error":
        yield "error", "\n".join(output.traceback)
    else:
        for kind, data in output.data.items():
            if isinstance(data, str):
                yield kind, data


# As text: to parse every notebook takes the emulated machine a minute.
WITH_A_CORE = [path for path in CHAPTERS if f'"{CORE}"' in path.read_text(encoding="utf-8")]
