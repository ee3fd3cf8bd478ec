"""What may be imported where every millisecond counts: the spawner, and the `labkit` command.

The spawner forks for each container, so what it has imported is what each fork copies; the command
line pays its imports at each call.  Both are measured in a fresh interpreter.
"""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# A bare `python -SI` has 23.  What the paths have now is a little below; a number that must be
# raised is a reason to look at what came in.
SPAWNER_MODULES = 119
CLI_MODULES = 100

HEAVY = {
    *("asyncio", "click", "concurrent.futures", "dataclasses", "email", "http", "http.client"),
    *("inspect", "logging", "msgspec", "multiprocessing", "psutil", "pyroute2", "pyseccomp"),
    *("random", "rich", "shutil", "ssl", "tempfile", "unittest", "urllib.request"),
}
"""Costs more to import than the whole path may take."""
CLI_FORBIDDEN = HEAVY | {"tarfile", "typing"}
SPAWNER_FORBIDDEN = HEAVY | {"argparse", "json", "pathlib", "subprocess", "threading"}


def imported(statement: str, *flags: str) -> set[str]:
    """The names of all modules in a fresh interpreter after a statement."""
    program = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {statement}; "
    program += "print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_spawner_imports_nothing_heavy() -> None:
    modules = imported("import labkit.runtime.spawner", "-SI")
    assert modules & SPAWNER_FORBIDDEN == set()


def test_spawner_imports_few_modules() -> None:
    modules = imported("import labkit.runtime.spawner", "-SI")
    assert len(modules) <= SPAWNER_MODULES, sorted(modules)


@pytest.mark.parametrize("verb", ["run", "ps", "logs", "build"])
def test_command_line_imports_nothing_heavy(verb: str) -> None:
    modules = imported(f"from labkit.cli.main import find; find({verb!r})", "-I")
    assert modules & CLI_FORBIDDEN == set()


def test_command_line_imports_few_modules() -> None:
    modules = imported("import labkit.cli.main, labkit.cli.containers.run", "-I")
    assert len(modules) <= CLI_MODULES, sorted(modules)


def test_the_measure_sees_an_import() -> None:
    assert "asyncio" in imported("import asyncio", "-SI")
    assert "asyncio" not in imported("pass", "-SI")
