"""`python -m tests.releases VERSION`: pack the engine as it is, to test later ones against it."""

import ast
import io
import subprocess
import sys
import tarfile

from tests.lab import PROJECT
from tests.releases import FOLDER, PACKAGES


def without_docstrings(text: str) -> str:
    """Python source without docstrings and comments, which are more than half of it."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                kept = [each for each in body if not _is_text(each)]
                setattr(node, name, kept or [ast.Pass()] if body else [])
    return ast.unparse(tree) + "\n"


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def pack(version: str) -> None:
    """Write the archive: the modules of the ground floor, and the packages that labkitd imports."""
    listed = subprocess.check_output(["git", "ls-files", "labkit"], cwd=PROJECT, text=True)
    with tarfile.open(FOLDER / f"{version}.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted(listed.splitlines()):
            parts = path.split("/")
            if path.endswith(".py") and (len(parts) == 2 or parts[1] in PACKAGES):
                data = without_docstrings((PROJECT / path).read_text()).encode()
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


pack(sys.argv[1])
