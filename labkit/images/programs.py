"""labkit's own programs for a bare Python: no libraries, no threads, no engine.

`import labkit.images` would load the whole package and its libraries.  Such a program needs one or
two modules of it, so it gets the packages without the code of their `__init__`.
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
    """Return the command that calls `main()` of a module, which imports from `packages`."""
    parent = os.path.dirname(os.path.dirname(labkit.__file__))
    program = _PROGRAM.format(parent=parent, packages=tuple(packages), module=module)
    return [sys.executable, "-SI", "-X", "utf8", "-c", program, *arguments]
