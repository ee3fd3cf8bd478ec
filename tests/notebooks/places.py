"""What a notebook needs to run: its environment, and the second base image.

Nothing of Jupyter is imported here: that takes a second, and the emulated machine fifteen.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import Lab

CELL_TIMEOUT_S = 600  # in an emulated machine a cell takes fifteen times as long
MINI = Path(__file__).parent.parent / "capstone" / "mini.py"
"""What a learner has written by the end of chapter 13: the page itself has no answer."""
READY_DEBIAN = "LABKIT_TEST_DEBIAN"
"""The environment variable that names an archive of the image `debian`, made beforehand."""


def environment(lab: Lab, folder: str) -> dict[str, str]:
    """What a notebook's kernel gets: the lab, and places of its own for what Jupyter keeps."""
    engine = Path(folder, "mini", "mini.py")
    if not engine.exists():
        engine.parent.mkdir(parents=True)
        shutil.copy(MINI, engine)
    # What pages lay into the folder for temporary files then carries the name of this run.
    scratch = Path(lab.folder, "scratch")
    scratch.mkdir(exist_ok=True)
    return lab.env | {
        "TMPDIR": str(scratch),
        "MINI_FILE": str(engine),
        "MINI_GROUP": f"mini-{Path(lab.root).parent.name}",
        "XDG_STATE_HOME": f"{folder}/state",
        "IPYTHONDIR": f"{folder}/ipython",
        "JUPYTER_CONFIG_DIR": f"{folder}/config",
        "JUPYTER_DATA_DIR": f"{folder}/data",
        "JUPYTER_RUNTIME_DIR": f"{folder}/runtime",
    }


def needs_debian(path: Path) -> bool:
    """Whether a notebook uses the image `debian`; without it a run starts that much sooner."""
    return "debian" in path.read_text(encoding="utf-8")


def make_debian(lab: Lab) -> None:
    """The second base image of the lab: the tests' own has only busybox, and a learner's has both.

    It takes a quarter of a minute, and the machine's package sources.  A machine without a network
    loads the archive that `READY_DEBIAN` names.
    """
    if archive := os.environ.get(READY_DEBIAN):
        lab.cli("load", "-i", archive, check=True, timeout=CELL_TIMEOUT_S)
        return
    command = [sys.executable, "-m", "labkit.images.base", "debian", "--root", lab.root]
    made = subprocess.run(command, env=lab.env, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
