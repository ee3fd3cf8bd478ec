"""`python3 -m labkit.doctor`: whether any container can run here, asked before all installing.

It needs the standard library alone.  Exit status 0 if a container can run, else 1, with what is
missing and the ways out on standard error.
"""

import os
import sys
import textwrap

from labkit.doctor.examination import can_run_containers, run_for_containers
from labkit.doctor.finding import MISSING, Finding
from labkit.paths import Paths

WIDTH = 100
SIGNS = ("/.dockerenv", "/run/.containerenv")
"""Files by which Docker and podman mark a container."""


def main() -> int:
    """Say nothing if all is well, for more is to come."""
    findings = run_for_containers(Paths.from_environment())
    if can_run_containers(findings):
        return 0
    sys.stderr.write(refusal(findings, inside=is_container()))
    return 1


def is_container() -> bool:
    """Whether this machine is a container of another engine, as far as that can be seen."""
    by_name = os.environ.get("container")  # noqa: SIM112 systemd's word, in small letters
    return any(map(os.path.exists, SIGNS)) or bool(by_name)


def refusal(findings: list[Finding], *, inside: bool) -> str:
    """What is missing, and the ways out."""
    lines = ["labkit: no container can run on this machine; it lacks:"]
    for finding in findings:
        if finding.required and finding.state == MISSING:
            wrapped = textwrap.wrap(f"{finding.name}: {finding.detail}", WIDTH - 6)
            lines += [f"  - {wrapped[0]}", *(f"    {line}" for line in wrapped[1:])]
    what = "This machine is a container" if inside else "If this machine is a container"
    lines += [
        "The ways out:",
        f"  - {what}: start it with the power to make others,",
        "    `docker run --privileged ...` or `podman run --privileged ...`",
        '    (in a dev container "runArgs": ["--privileged"], as .devcontainer/ has it)',
        "  - on your own computer: `vagrant up` opens the same lab in a virtual machine",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
