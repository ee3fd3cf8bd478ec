"""Earlier releases of the engine, kept so that tests can prove an update.

`0.1.0.tar.xz` has the engine of that release without docstrings: a test starts its labkitd, makes
containers, ends it, and starts today's labkitd on the same data root.  When a release is made:
`python -m tests.releases VERSION` packs the engine as it is.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
PACKAGES = (
    *("build", "cgroups", "containers", "daemon", "dialect", "http", "images", "kernel"),
    *("networks", "registry", "rootless", "runtime", "snapshots"),
)
"""What labkitd imports."""
