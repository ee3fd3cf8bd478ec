"""`python3 -m labkit.doctor`: whether any container can run here, asked before all installing.

It needs the standard library alone.  Exit status 0 if a container can run, else 1, with what is
missing and the ways out on standard error.  An ordinary user is also told what an engine without
root will lack.
"""

import os
import sys
import textwrap

from labkit.doctor.examination import WITHOUT_ROOT, can_run_containers, run_for_containers
from labkit.doctor.finding import LIMITED, MISSING, Finding
from labkit.kernel import power
from labkit.paths import Paths

WIDTH = 100
SIGNS = ("/.dockerenv", "/run/.containerenv")
"""Files by which Docker and podman mark a container."""


def main() -> int:
    """Say nothing if all is well, for more is to come."""
    findings = run_for_containers(Paths.from_environment())
    if can_run_containers(findings):
        sys.stdout.write(limits(findings))
        return 0
    # Root without power is in a container that was started without it: `sudo` would not help.
    is_root = os.geteuid() == 0
    words = refusal(findings, inside=is_container()) if is_root else refusal_of_user(findings)
    sys.stderr.write(words)
    return 1


def limits(findings: list[Finding]) -> str:
    """What an engine without root will lack, and what an administrator can do about it."""
    lines = [
        f"labkit: {finding.name}: {finding.detail}; an administrator can change that: "
        f"{finding.remedy}"
        for finding in findings
        if finding.section == WITHOUT_ROOT and finding.state == LIMITED
    ]
    return "".join(f"{line}\n" for line in lines)


def refusal_of_user(findings: list[Finding]) -> str:
    """What an ordinary user lacks, each with its way out."""
    lines = ["labkit: this machine lets you run no container without root; what is missing:"]
    for finding in findings:
        if finding.required and finding.state == MISSING:
            lines += _item(f"{finding.name}: {finding.detail}")
            lines += [f"    {finding.remedy}"] if finding.remedy else []
    lines += ["Or, with root's power: `sudo make lab`; on your own computer: `vagrant up`"]
    return "\n".join(lines) + "\n"


def _item(text: str) -> list[str]:
    first, *more = textwrap.wrap(text, WIDTH - 6)
    return [f"  - {first}", *(f"    {line}" for line in more)]


def is_container() -> bool:
    """Whether this machine is a container of another engine, as far as that can be seen."""
    by_name = os.environ.get("container")  # noqa: SIM112 systemd's word, in small letters
    return any(map(os.path.exists, SIGNS)) or bool(by_name)


def refusal(findings: list[Finding], *, inside: bool) -> str:
    """What is missing, and the ways out."""
    lines = ["labkit: no container can run on this machine; it lacks:"]
    for finding in findings:
        if finding.required and finding.state == MISSING:
            lines += _item(f"{finding.name}: {finding.detail}")
            # With power, the remedies are for a machine of one's own.
            lines += [f"    {finding.remedy}"] if finding.remedy and not power.has_admin() else []
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
