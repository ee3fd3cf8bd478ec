"""`labkit doctor`: what this kernel and machine offer, and how to get what is missing.

findings = doctor.run(Paths.from_environment())
print(doctor.render(findings, width=80), end="")
sys.exit(doctor.exit_status(findings))
"""

from labkit.doctor.examination import can_run_containers, exit_status, run, run_for_containers
from labkit.doctor.finding import Finding
from labkit.doctor.report import render, to_json

__all__ = [
    "Finding",
    "can_run_containers",
    "exit_status",
    "render",
    "run",
    "run_for_containers",
    "to_json",
]
