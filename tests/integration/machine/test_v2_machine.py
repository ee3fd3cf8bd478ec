"""The core of the tests that depend on cgroup v2, in a machine that has it (`tests/machine`).

They are the same tests, by name, and the core of four chapters of the course; `make test-v2` runs
all of them that the kernel decides, and all notebooks whole.  A skip
is judged inside by the same rule as here.
"""

import re
import subprocess
import sys

import pytest

from tests.lab import PROJECT

pytestmark = pytest.mark.root

CORE = {
    "test_cgroups.py": ("",),  # files, out of memory, kill, freezer, delegation by systemd
    "test_containers.py": (
        *("test_its_own_namespaces", "test_limits_are_files_and_hold"),
        *("test_pids_limit_at_its_number", "test_out_of_memory_is_told"),
    ),
    "test_devices.py": (
        *("test_a_device_file_of_its_own_opens_nothing", "test_without_the_rules_it_would"),
        *("test_a_device_that_it_is_given[r-True-False]", "test_a_rule_for_what_it_makes_itself"),
    ),
    "test_escapes_kernel.py": ("test_no_release_agent_can_be_written",),
    "test_exec_and_terminals.py": (
        *("test_exec_has_the_container_s_limits_and_no_more_power",),
        *("test_pause_takes_the_cpu_away_and_unpause_gives_it_back",),
        *("test_a_paused_container_can_be_stopped_and_removed",),
    ),
    "test_limit_effects.py": tuple(
        f"test_what_was_asked_is_what_comes[{limit}]"
        for limit in ("shares", "quota", "memory", "memory and swap", "processes", "written bytes")
    ),
    "test_limits.py": ("test_a_quota_holds_and_can_be_changed", "test_memory_files"),
    "test_survival.py": (
        *("test_the_daemon_dies_and_its_successor_adopts",),
        *("test_a_shim_that_is_killed_takes_its_container_along",),
    ),
    "test_user_namespaces.py": ("test_root_inside_is_nobody_in_particular_outside",),
    "test_run.py": ("test_the_cores_run_alone",),  # of chapters 9 to 12
}
"""File by file the tests that run in the machine; "" is all of a file."""

NAMES = [
    f"{path.relative_to(PROJECT)}::{name}".removesuffix("::")
    for place in ("integration", "notebooks")
    for file, names in CORE.items()
    for path in (PROJECT / "tests" / place).rglob(file)
    for name in names
]
PYTEST = (
    *("-m", "pytest", "-p", "pytest_timeout", "-p", "no:cacheprovider", "-v"),
    *("-o", "timeout=900", "--durations=8"),
)


@pytest.mark.timeout(2400)
def test_the_core_holds_on_cgroup_v2() -> None:
    """Emulated it takes some minutes; on a busy machine more, and it may."""
    machine = (sys.executable, "-m", "tests.machine", "--timeout", "2200")
    done = subprocess.run(
        [*machine, sys.executable, *PYTEST, *NAMES],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    passed = re.findall(r"^tests/[\w/]+/(\w+\.py)::.* PASSED", done.stdout, re.MULTILINE)
    # A name that no test has is an error to pytest; this is for one that was skipped.
    for file, names in CORE.items():
        assert passed.count(file) >= len(names), f"{file}: {passed.count(file)} passed\n{said}"
