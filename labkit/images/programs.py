"""Programs of labkit's own that a bare Python runs: no libraries, no threads, no engine.

`import labkit.images` would load the whole package and the libraries that it stands on.  Such a
program needs one or two modules of it, so it is given the packages without their own code.
"""

import os
import sys
from collections.abc import Sequence

import labkit

_PROGRAM = """
import sys, types
from importlib import import_module
sys.path.insert(0, {parent!r})
for name in {packages!r}:
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [{parent!r} + "/" + name.replace(".", "/")]
import_module({module!r}).main()
"""


def command(
    module: str, *arguments: str, packages: Sequence[str] = ("labkit.images",)
) -> list[str]:
    """The command line that calls `main()` of a module; `packages` are those it imports from."""
    parent = os.path.dirname(os.path.dirname(labkit.__file__))
    program = _PROGRAM.format(parent=parent, packages=tuple(packages), module=module)
    return [sys.executable, "-SI", "-X", "utf8", "-c", program, *arguments]
