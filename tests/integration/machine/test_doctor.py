"""`labkit doctor` on this machine: what it finds is so, and it leaves nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit import doctor
from labkit.doctor.finding import MISSING, OK, Finding
from labkit.microvm import kvm
from labkit.paths import Paths
from tests.lab import AS_NOBODY, PROJECT
from tests.rootless import way_to_project

pytestmark = pytest.mark.root


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path / "root"), str(tmp_path / "run"))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def try_out(root: str, before: str = "", **environment: str) -> dict[str, str]:
    """The trials, run by a process that executes `before` first."""
    script = f"import sys\n{before}\nfrom labkit.doctor import trials\ntrials.main()"
    made = subprocess.run(
        [sys.executable, "-c", script, root],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    results: dict[str, str] = json.loads(made.stdout)
    return results


def test_the_trials_load_no_code_from_where_they_are_started(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tempfile.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    doctor.run(paths)
    assert not (tmp_path / "loaded").exists()


def test_every_finding_is_complete_and_named_once(paths: Paths) -> None:
    findings = doctor.run(paths)
    assert len(by_name(findings)) == len(findings) > 30
    assert all(finding.section and finding.detail for finding in findings)
    assert all(finding.state == OK or finding.detail for finding in findings)
    assert max(map(len, doctor.render(findings, 80).splitlines())) <= 80


def test_it_agrees_with_unshare(paths: Paths) -> None:
    found = by_name(doctor.run(paths))
    for kind, option in (("network", "--net"), ("user", "--user"), ("PID", "--pid")):
        works = subprocess.run(["unshare", option, "true"], check=False).returncode == 0
        assert (found[f"{kind} namespace"].state == OK) == works


def test_it_is_quick_and_leaves_no_trace(paths: Paths, tmp_path: Path) -> None:
    def trace() -> tuple[object, ...]:
        mounted = Path("/proc/self/mountinfo").read_text()
        return mounted, sorted(os.listdir(tmp_path)), os.listdir("/sys/class/net"), groups()

    def groups() -> list[str]:
        return [f for f, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(f) == "labkit"]

    # How quick this machine is: it may be an emulated one.
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import json, subprocess"], check=True)
    interpreter_s = time.monotonic() - started
    before, started = trace(), time.monotonic()
    doctor.run(paths)
    # Seen here: five times an interpreter's start; a guest that hangs is waited for.
    assert time.monotonic() - started < kvm.TRIAL_S + max(1.5, 20 * interpreter_s)
    assert trace() == before


def test_an_overlay_cannot_be_the_data_root(tmp_path: Path) -> None:
    """The commonest trap: labkit inside a container, its data on the container's own overlay."""
    on_overlay = f"""
import os
from labkit.kernel import mounts, namespaces
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
base = {str(tmp_path)!r}
for name in ("lower", "upper", "work", "merged"):
    os.mkdir(f"{{base}}/{{name}}")
options = f"lowerdir={{base}}/lower,upperdir={{base}}/upper,workdir={{base}}/work"
mounts.mount("overlay", f"{{base}}/merged", "overlay", data=options)
"""
    assert try_out(str(tmp_path))["overlay"] == ""
    assert "mount" in try_out(f"{tmp_path}/merged/root", on_overlay)["overlay"]


def test_a_kernel_that_refuses_is_reported_with_the_errno(tmp_path: Path) -> None:
    """User namespaces are refused in a chroot; so they can be made to fail here."""
    chrooted = """
import os
from labkit.doctor import trials
from labkit.kernel import mounts, namespaces
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
base = sys.argv[1] + "/bound"
os.mkdir(base)
mounts.mount("/", base, "", mounts.MS_BIND | mounts.MS_REC)
os.chroot(base)
os.chdir("/")
"""
    results = try_out(str(tmp_path), chrooted)
    assert results["namespace.user"] == "unshare: Operation not permitted (EPERM)"
    assert results["namespace.uts"] == ""


def test_nft_is_really_run(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "nft"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'Error: no such luck' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    finding = by_name(doctor.run(paths))["nft"]
    assert (finding.state, finding.detail) == (MISSING, "Error: no such luck")


def test_as_nobody_it_still_answers(tmp_path: Path) -> None:
    script = (
        "from labkit import doctor; from labkit.paths import Paths;"
        "print(doctor.to_json(doctor.run(Paths('/var/empty/root', '/var/empty/run'))))"
    )
    # Trials in a user namespace read labkit's files as nobody does.
    way = f'mount --make-rprivate /\n{way_to_project(str(tmp_path))}\nexec "$@"'
    made = subprocess.run(
        ["unshare", "--mount", "sh", "-c", way, "sh", *AS_NOBODY, sys.executable, "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(made.stdout)
    found = {finding["Name"]: finding["State"] for finding in answer["Findings"]}
    # It is tried as labkitd of this user would do it: as root of a user namespace.
    assert found["PID namespace"] == found["own user namespace"] == found["new /proc"] == "ok"
    assert found["kernel"] == "ok"
    assert found["run folder"] == found["data root"] == "missing"
    assert answer["CanRunContainers"] is False
