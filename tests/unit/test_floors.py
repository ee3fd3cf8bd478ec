"""Who may import whom: no import runs upward, and neighbours on one floor do not know each other.

The table is ARCHITECTURE.md's.  Every import counts, also one inside a function or under
`if TYPE_CHECKING`.
"""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "labkit"

GROUND = {
    *("dialect", "errors", "log", "ownership", "paths", "patterns", "set_aside", "signals"),
    "__init__",
}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "log": set(),
    "ownership": {"errors", "kernel", "paths"},
    "paths": set(),
    "patterns": {"errors"},
    "set_aside": {"paths"},
    "signals": {"errors", "dialect"},
    "dialect": {"errors"},
    "kernel": set(),
    "cgroups": {"kernel", *GROUND},
    "snapshots": {"kernel", *GROUND},
    "images": {"snapshots", "kernel", *GROUND},
    "networks": {"kernel", *GROUND},
    "runtime": {"kernel", *GROUND},
    "http": {"errors", "dialect", "log"},
    "rpc": {"errors"},
    "registry": {"images", "http", "kernel", *GROUND},
    "transfers": {"registry", "images", "kernel", *GROUND},
    "containers": {
        *("runtime", "cgroups", "images", "networks", "snapshots"),
        *("kernel", *GROUND),
    },
    "build": {
        *("containers", "runtime", "cgroups", "images", "networks", "snapshots"),
        *("kernel", *GROUND),
    },
    "buildkit": {
        *("rpc", "build", "containers", "images", "snapshots", "kernel", *GROUND),
    },
    "microvm": {"images", "kernel", *GROUND},
    "labdisk": {"kernel", *GROUND},
    "rootless": {"kernel", *GROUND},
    "daemon": {
        *(
            "rootless",
            "build",
            "buildkit",
            "rpc",
            "containers",
            "registry",
            "transfers",
            "runtime",
            "cgroups",
            "images",
            "networks",
        ),
        *("snapshots", "http", "kernel", *GROUND),
    },
    "client": {"rpc", *GROUND},
    "doctor": {
        *("client", "kernel", "cgroups", "rootless", "networks", "snapshots", "microvm"),
        *GROUND,
    },
    "cli": {"client", "course", "cgroups", "doctor", "labdisk", "registry", *GROUND},
    "course": {
        *("snapshots", "rootless"),
        *("client", "doctor", "labdisk", "microvm", "build", "containers", "registry"),
        *("runtime", "cgroups", "images", "networks", "kernel", *GROUND),
    },
}
"""For each package (or module of the ground floor) what it may import besides itself."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def floor_of(module: str) -> str:
    """The package a dotted labkit module belongs to: `labkit.runtime.plan` is `runtime`'s."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every labkit module that a file imports, relative ones resolved."""
    package = ["labkit", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            # `from labkit import errors` names a module, `from labkit import __version__` does not.
            below = [a.name for a in node.names if stem == "labkit" and a.name in MAY_IMPORT]
            names = [f"labkit.{name}" for name in below] or [stem]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "labkit":
                yield node.lineno, name


def test_every_package_is_in_the_table() -> None:
    there = {
        path.name if path.is_dir() else path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there <= MAY_IMPORT.keys()


def test_the_table_itself_has_no_circle() -> None:
    def climb(package: str, above: tuple[str, ...]) -> None:
        assert package not in above, " -> ".join([*above, package])
        for lower in MAY_IMPORT[package]:
            climb(lower, (*above, package))

    for package in MAY_IMPORT:
        climb(package, ())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_upward(path: Path) -> None:
    own = floor_of(".".join(["labkit", *path.relative_to(PACKAGE).with_suffix("").parts]))
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}"
        for line, name in imported_modules(path)
        if floor_of(name) != own and floor_of(name) not in MAY_IMPORT[own]
    ]
    assert not wrong


def test_an_upward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "kernel" / "mounts.py"
    module.parent.mkdir()
    module.write_text(
        "from ..runtime.plan import Plan\nfrom labkit import daemon\n"
        "def late():\n    import labkit.cli.containers.run\n    from . import files\n"
    )
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    assert [floor_of(name) for _, name in imported_modules(module)] == [
        *("runtime", "daemon", "cli", "kernel"),
    ]


def test_no_module_is_in_a_circle() -> None:
    """Imports within functions and under TYPE_CHECKING count, too."""
    names = {
        ".".join(["labkit", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): path
        for path in modules()
    }
    graph = {name: modules_imported(path, names) - {name} for name, path in names.items()}
    done: set[str] = set()

    def climb(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for lower in sorted(graph[name]):
                climb(lower, (*above, name))
            done.add(name)

    for name in graph:
        climb(name, ())


def modules_imported(path: Path, names: Collection[str]) -> set[str]:
    """The labkit modules that a file imports: `from labkit.kernel import mounts` is of `mounts`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & set(names) or {node.module}
    return found & set(names)


@pytest.mark.parametrize(("top", "most"), [("labkit", 25), ("tests", 30)])
def test_no_folder_is_a_corridor(top: str, most: int) -> None:
    crowds = {
        str(folder): count
        for folder in (PACKAGE.parent / top).rglob("*/")
        if (count := sum(1 for _ in folder.glob("*.py"))) > most
    }
    assert not crowds
