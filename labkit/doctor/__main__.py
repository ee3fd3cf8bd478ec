"""`python3 -m labkit.doctor`: whether any container can run here, checked before an installation.

It needs only the standard library.  The exit status is 0 if a container can run.  If not, it is 1,
and standard error says what is missing and how to get it.  An ordinary user also reads what an
engine without root will lack.
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
"""Files that Docker and podman make in a container to mark it."""


def main() -> int:
    """Print nothing if all is well, since an installation follows."""
    findings = run_for_containers(Paths.from_environment())
    if can_run_containers(findings):
        sys.stdout.write(limits(findings))
        return 0
    # A root without capabilities is in a container that was started so: `sudo` would not help.
    is_root = os.geteuid() == 0
    words = refusal(findings, inside=is_container()) if is_root else refusal_of_user(findings)
    sys.stderr.write(words)
    return 1


def limits(findings: list[Finding]) -> str:
    """The limits of an engine without root, and how an administrator can remove each."""
    lines = [
        f"labkit: {finding.name}: {finding.detail}; an administrator can change that: "
        f"{finding.remedy}"
        for finding in findings
        if finding.section == WITHOUT_ROOT and finding.state == LIMITED
    ]
    return "".join(f"{line}\n" for line in lines)


def refusal_of_user(findings: list[Finding]) -> str:
    """The requirements that an ordinary user lacks, with a remedy for each."""
    lines = ["labkit: this machine lets you run no container without root; it lacks:"]
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
    """Whether this machine seems to be a container of another engine."""
    by_name = os.environ.get("container")  # noqa: SIM112 systemd writes it in lower case
    return any(map(os.path.exists, SIGNS)) or bool(by_name)


def refusal(findings: list[Finding], *, inside: bool) -> str:
    """The message with the missing requirements and the remedies."""
    lines = ["labkit: no container can run on this machine; it lacks:"]
    for finding in findings:
        if finding.required and finding.state == MISSING:
            lines += _item(f"{finding.name}: {finding.detail}")
            # If it has the capabilities, the remedies are for a machine that is no container.
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
