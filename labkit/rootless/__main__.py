"""`python -m labkit.rootless COMMAND…`: run a command as root of this user's own engine.

Files that containers of an engine without root have written may belong to other ids than the
user's.  Only inside can they be read, repaired and removed.
"""

import os
import sys

from labkit.errors import LabkitError
from labkit.kernel import power
from labkit.paths import Paths, search_sbin
from labkit.rootless import entering


def main() -> int:
    """Become the command; returns an exit status only if that fails."""
    command = sys.argv[1:]
    if not command:
        sys.stderr.write("usage: python -m labkit.rootless COMMAND [ARGUMENT...]\n")
        return 2
    try:
        search_sbin()
        if not power.has_admin():
            entering.enter(Paths.from_environment())
        os.execvp(command[0], command)
    except (LabkitError, OSError) as error:
        sys.stderr.write(f"labkit: {command[0]}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
