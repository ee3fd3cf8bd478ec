"""The valid reasons to skip a test: something that this machine really lacks, checked here.

`pytest.skip("needs cgroup v2")` passes on a machine without cgroup v2, and fails on one with it: an
unnoticed skip is a test that never runs.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from labkit.containers.given import security
from labkit.kernel import capabilities
from tests import oracle
from tests.peers import clients


def has_immutable_files(folder: str) -> bool:
    """Whether `chattr +i` works in a folder: file systems such as tmpfs have no such attribute."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        made = subprocess.run(["chattr", "+i", file.name], check=False, capture_output=True)
        subprocess.run(["chattr", "-i", file.name], check=False, capture_output=True)
    return made.returncode == 0


def makes_links(kind: str) -> bool:
    """Whether this kernel makes links of a kind upon another link."""
    pair = "ip link add name lk0 type veth peer name lk1"
    words = f"{pair} && ip link add link lk0 name lk2 type {kind}"
    made = subprocess.run(["unshare", "-n", "sh", "-c", words], check=False, capture_output=True)
    return made.returncode == 0


SCHEDULERS = [*Path("/sys/block").glob("*/queue/scheduler")]
LACKS: dict[str, Callable[[], bool]] = {
    "needs cgroup v2": lambda: not os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
    "needs cgroup v1": lambda: not os.path.isdir("/sys/fs/cgroup/memory"),
    "needs Chromium": lambda: not (shutil.which("chromium") and shutil.which("chromedriver")),
    "needs axe-core": lambda: not os.path.isfile(os.environ.get("LABKIT_TEST_AXE", "")),
    "needs the editions' Sphinx": lambda: not os.path.exists(".lab/editions/bin/sphinx-build"),
    "needs a folder for screenshots": lambda: not os.environ.get("LABKIT_TEST_DEMOS"),
    "needs nbgrader": lambda: importlib.util.find_spec("nbgrader") is None,
    "needs Dask": lambda: importlib.util.find_spec("distributed") is None,
    "needs slirp4netns": lambda: not shutil.which("slirp4netns"),
    "needs podman": lambda: not shutil.which("podman"),
    "needs buildah": lambda: not shutil.which("buildah"),
    "needs docker-registry": lambda: not shutil.which("docker-registry"),
    "needs docker-compose": lambda: not clients.compose_commands(),
    "needs ssh-agent": lambda: not (shutil.which("ssh-agent") and shutil.which("ssh-add")),
    "needs a dockerd": lambda: not oracle.works(),
    "needs a loop device": lambda: (
        subprocess.run(["losetup", "--find"], check=False).returncode != 0
    ),
    "needs BFQ": lambda: not any("bfq" in path.read_text() for path in SCHEDULERS),
    "needs macvlan": lambda: not makes_links("macvlan"),
    "needs swap": lambda: len(Path("/proc/swaps").read_text().splitlines()) < 2,
    "needs docker 20": lambda: "docker-20" not in clients.docker_by_version(),
    "needs docker 26": lambda: "docker-26" not in clients.docker_by_version(),
    "needs docker 28": lambda: "docker-28" not in clients.docker_by_version(),
    "needs immutable files": lambda: not has_immutable_files(tempfile.gettempdir()),
    "needs AppArmor": lambda: not security.loaded_apparmor_profiles(),
    "needs CAP_SYS_RESOURCE": lambda: (
        not capabilities.permitted() & capabilities.mask(["SYS_RESOURCE"])
    ),
    "needs two CPUs": lambda: len(os.sched_getaffinity(0)) < 2,
}
"""The beginning of a skip's reason, and whether it is true of this machine."""


def is_justified(reason: str) -> bool:
    """Whether this machine really lacks what the reason says is needed."""
    return any(reason.startswith(need) and lacking() for need, lacking in LACKS.items())


def reason_of(longrepr: object) -> str:
    """Return the reason in pytest's report of a skip: (file, line, "Skipped: reason")."""
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")
