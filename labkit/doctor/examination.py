"""Running all checks, in sections and in the order in which people read them."""

import json
import subprocess
import sys
from collections.abc import Sequence

from labkit import ownership
from labkit.cgroups import detect
from labkit.doctor import (
    checks_cgroups,
    checks_containers,
    checks_engine,
    checks_kernel,
    checks_networks,
    checks_programs,
    checks_records,
    checks_storage,
    checks_user,
)
from labkit.doctor.finding import MISSING, UNKNOWN, Check, Finding, Situation
from labkit.kernel import namespaces, power
from labkit.paths import Paths

SECTIONS: dict[str, tuple[Check, ...]] = {
    "Kernel": (
        checks_kernel.check_kernel,
        checks_kernel.check_privileges,
        checks_kernel.check_seccomp,
    ),
    "Namespaces": (checks_kernel.check_namespaces,),
    "Limits": (
        checks_cgroups.check_version,
        checks_cgroups.check_controllers,
        checks_cgroups.check_swap,
    ),
    "Storage": (
        checks_storage.check_mounts,
        checks_storage.check_overlay,
        checks_storage.check_driver,
        checks_storage.check_mapped_ids,
        checks_storage.check_space,
        checks_storage.check_loop,
        checks_storage.check_bfq,
    ),
    "Machine": (checks_storage.check_memory, checks_programs.check_virtual_machines),
    "Network": (checks_programs.check_network, checks_networks.check_forwarding),
    "Images": (checks_programs.check_image_tools,),
    "labkit": (
        checks_engine.check_group,
        checks_engine.check_daemon,
        checks_records.check_records,
    ),
    "Containers": (checks_containers.check_containers,),
}

WITHOUT_ROOT = "Without root"
OF_A_USER: dict[str, tuple[Check, ...]] = {
    "Kernel": SECTIONS["Kernel"],
    WITHOUT_ROOT: (
        checks_user.check_user_namespace,
        checks_user.check_ids,
        checks_user.check_proc,
        checks_user.check_folders,
        checks_user.check_cable,
    ),
    "Namespaces": SECTIONS["Namespaces"],
    "Limits": SECTIONS["Limits"],
    "Storage": (
        checks_storage.check_mounts,
        checks_storage.check_overlay,
        checks_storage.check_driver,
        checks_storage.check_space,
    ),
    "Machine": SECTIONS["Machine"],
    "Network": (checks_programs.check_network,),
    "Images": SECTIONS["Images"],
    "labkit": (checks_engine.check_daemon, checks_records.check_records),
    "Containers": (checks_containers.check_containers,),
}
"""The checks for a user without root: loop devices, the firewall and the group need root."""

FOR_CONTAINERS = ("Kernel", "Namespaces", "Storage")
"""The sections that decide whether any container can run, with any programs installed."""
TRIALS_FOR_CONTAINERS = (
    *(f"namespace.{name}" for name in namespaces.FLAGS),
    *("mounts", "overlay", "image", "seccomp", "proc"),
)

TRIALS_TIMEOUT_S = 10.0


def run(paths: Paths) -> list[Finding]:
    """Run every check; nothing is changed, and nothing remains."""
    return _run(paths, (), ())


def run_for_containers(paths: Paths) -> list[Finding]:
    """Run the checks that decide whether containers can ever run here, whatever is installed.

    Takes a tenth of a second, and needs only Python.
    """
    own = () if power.has_admin() else (WITHOUT_ROOT,)
    found = _run(paths, (*own, *FOR_CONTAINERS), TRIALS_FOR_CONTAINERS)
    return [finding for finding in found if finding.name != checks_kernel.LIBSECCOMP]


def _run(paths: Paths, sections: Sequence[str], trials: Sequence[str]) -> list[Finding]:
    is_root = power.has_admin()
    checks = SECTIONS if is_root else OF_A_USER
    program = "labkit.doctor.trials" if is_root else "labkit.doctor.user_trials"
    results, untried = _trials(program, paths, trials)
    layout = detect(ownership.cgroup_parent(paths.root))
    situation = Situation(paths, is_root, layout, results, untried)
    return [
        finding._replace(section=section)
        for section in sections or checks
        for check in checks[section]
        for finding in _findings(check, situation)
    ]


def can_run_containers(findings: list[Finding]) -> bool:
    """Whether no required finding is missing."""
    return not any(finding.required and finding.state == MISSING for finding in findings)


def exit_status(findings: list[Finding]) -> int:
    """The command's exit status: 0 if labkit can run containers here, else 1."""
    return 0 if can_run_containers(findings) else 1


def _findings(check: Check, situation: Situation) -> list[Finding]:
    """Run a check; if it fails on an unusual machine, report that, so that the others still run."""
    try:
        return list(check(situation))
    except OSError as error:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return [Finding(name, UNKNOWN, f"could not be checked: {error}")]


def _trials(program: str, paths: Paths, names: Sequence[str]) -> tuple[dict[str, str], str]:
    """Results of the named trials, or of all; or none, and the reason.

    A separate program makes them.
    """
    # -P: it loads no code from the present working directory
    command = [sys.executable, "-P", "-m", program, paths.root, *names]
    try:
        made = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TRIALS_TIMEOUT_S,
            check=True,
        )
        return json.loads(made.stdout), ""
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return {}, str(error)
