"""The run of the same tests with an ordinary user's engine (`make test-rootless`).

With LABKIT_TEST_ROOTLESS every lab of the tests is a `RootlessLab`.  A test is left out only by its
mark, which names the power of root that it needs:

    @pytest.mark.host_power("devices")
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.lab import PROJECT
from tests.rootless import UID

IS_LEFT_OUT = bool(os.environ.get("LABKIT_TEST_ROOTLESS"))
"""Whether this is the run without root."""

WHY = {
    "own engine": "the test's process is the engine, or starts one itself, as root",
    "cgroups": "groups or controllers that no user gets: devices, the top, another parent",
    "devices": "device files, loop devices and disks are root's alone to make and to mount",
    "host network": "no user can use or change links, rules and 127.0.0.1 of the machine",
    "users": "--userns private maps ids that only root may map, and shows files with other owners",
    "root's files": "the files that it reads, binds or repairs belong to root",
    "kernel": "it changes settings, limits and keys of the kernel for the whole machine",
    "no container": "it tests no lab, but a script, a file or another program",
}
"""The words of the mark `host_power`."""

MODULES = {
    "own engine": (
        "engine/test_engines",
        "engine/test_releases",
        "images/store/",
        "images/test_layer_properties",
        "machine/test_inside_a_container",
        "machine/test_rootless",
    ),
    "no container": (
        "machine/test_doctor",
        "machine/test_microvm",
        "machine/test_own_machine",
        "machine/test_peers",
        "machine/test_provision",
        "machine/test_v2_machine",
        "registry/test_registry_",
    ),
    "devices": (
        "engine/test_full_disk",
        "images/test_storage_drivers",
        "limits/test_disk_limits",
        "limits/test_lab_disk",
    ),
    "host network": (
        "machine/test_everyday_hosts",
        "machine/test_host_doctor",
        "networks/test_host_",
    ),
    "users": ("containers/test_userns_remap",),
    "root's files": ("registry/test_login",),
    "cgroups": ("limits/test_cgroups",),
}
"""Whole files of tests/integration, by the beginning of their path there."""
PLACES = {f"tests/integration/{path}": word for word, paths in MODULES.items() for path in paths}

FIXTURES = {
    "engine": "own engine",
    "open_engine": "own engine",
    "oracle": "no container",
}
"""The words by which a fixture marks its tests."""


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that the tables name; refuse words of marks that are not in the table."""
    for item in items:
        for fixture, word in FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.host_power(word))
        for place, word in PLACES.items():
            if item.nodeid.startswith(place):
                item.add_marker(pytest.mark.host_power(word))
        for found in item.iter_markers("host_power"):
            assert found.args[0] in WHY, f"{item.nodeid}: host_power knows no {found.args[0]!r}"


def word_of(item: pytest.Item) -> str:
    """Return the power of root that a test needs; "" if none."""
    found = item.get_closest_marker("host_power")
    return str(found.args[0]) if found else ""


def summary(words: Iterable[str]) -> list[str]:
    """Return the lines about the tests left out without root: how many of each, and why."""
    counts = Counter(words)
    return [
        f"{counts.total()} tests that need the machine's own root",
        *(f"    {counts[word]:5d}  {word}: {why}" for word, why in WHY.items() if counts[word]),
    ]


def give_groups() -> None:
    """Delegate groups to the user of the labs, as an administrator does."""
    _delegate(str(UID))


def take_groups() -> None:
    """Take them back; a failure means that a container is still in them."""
    _delegate("--undo", str(UID))


def _delegate(*words: str) -> None:
    command = [sys.executable, "-P", "-m", "labkit.cli", "delegate", *words]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)


def let_in(folder: str) -> None:
    """In the run without root, give a test's folder to the user of the labs."""
    if IS_LEFT_OUT:
        open_to_user(Path(folder))


def open_to_user(folder: Path) -> None:
    """Give a test's folder to the user of the labs, with access to it."""
    os.chown(folder, UID, UID)
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if not mode & 0o001:
            place.chmod(mode | 0o011)
