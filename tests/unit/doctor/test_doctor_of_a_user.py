"""What the doctor says to a user without root: each obstacle, and the way out."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from labkit import paths
from labkit.cgroups import Layout
from labkit.cgroups.given import User
from labkit.doctor import checks_cgroups, checks_programs, checks_user
from labkit.doctor.finding import LIMITED, MISSING, OK, Check, Finding, Situation
from labkit.paths import Paths
from labkit.rootless.ids import Ids

WORKS = dict.fromkeys(["namespace.user", "mounts", "ids", "proc"], "")
EPERM = "Operation not permitted (EPERM)"


def situation(folder: Path, trials: Mapping[str, str] = WORKS) -> Situation:
    return Situation(Paths(f"{folder}/root", f"{folder}/run"), False, Layout("v1", {}), trials)


def found(check: Check, at: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(at)}


@pytest.mark.parametrize(
    ("path", "text", "names", "remedy"),
    [
        ("sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces is 0", "sysctl -w"),
        ("sys/kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone", "sysctl -w"),
        (
            "sys/kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            "apparmor_restrict",
            "vagrant/labkit-userns",
        ),
        ("self/status", "Seccomp:\t2\n", "seccomp", "seccomp=unconfined"),
        ("nothing", "", "", "administrator"),
    ],
)
def test_what_forbids_user_namespaces_is_named(
    tmp_path: Path, path: str, text: str, names: str, remedy: str
) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    why, way_out = checks_user.obstacle(str(tmp_path))
    assert names in why
    assert remedy in way_out


def test_a_sysctl_that_allows_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "sys/kernel"
    folder.mkdir(parents=True)
    (folder / "unprivileged_userns_clone").write_text("1\n")
    (folder / "apparmor_restrict_unprivileged_userns").write_text("0\n")
    assert checks_user.obstacle(str(tmp_path))[0] == ""


@pytest.mark.parametrize("trial", ["namespace.user", "mounts"])
def test_a_user_namespace_without_power_is_none(tmp_path: Path, trial: str) -> None:
    at = situation(tmp_path, {**WORKS, trial: EPERM})
    finding = found(checks_user.check_user_namespace, at)["own user namespace"]
    assert (finding.state, finding.required) == (MISSING, True)
    assert EPERM in finding.detail
    assert finding.remedy


def test_a_hidden_proc_has_a_way_out(tmp_path: Path) -> None:
    finding = found(checks_user.check_proc, situation(tmp_path, {**WORKS, "proc": EPERM}))
    assert finding["new /proc"].state == MISSING
    assert "systempaths=unconfined" in finding["new /proc"].remedy


@pytest.mark.parametrize(
    ("ids", "trial", "state", "remedy"),
    [
        (0, "", LIMITED, "/etc/subuid"),
        (1, "", LIMITED, "/etc/subuid"),
        (65536, "", OK, ""),
        (65536, "it refused", MISSING, "uidmap"),
    ],
)
def test_subordinate_ids(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ids: int,
    trial: str,
    state: str,
    remedy: str,
) -> None:
    lines = ((0, 1000, 1), *([(1, 100000, ids)] if ids else []))
    monkeypatch.setattr(checks_user.ids, "find", lambda: Ids(lines, lines))
    monkeypatch.setattr(checks_user.ids, "sharers", list)
    (finding,) = checks_user.check_ids(situation(tmp_path, {**WORKS, "ids": trial}))
    assert finding.state == state
    assert remedy in finding.remedy


def test_ids_of_two_users_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ((0, 1000, 1), (1, 100000, 65536))
    monkeypatch.setattr(checks_user.ids, "find", lambda: Ids(lines, lines))
    monkeypatch.setattr(checks_user.ids, "sharers", lambda: ["tom"])
    _, shared = checks_user.check_ids(situation(tmp_path, WORKS))
    assert shared.state == LIMITED
    assert "tom" in shared.detail


def test_the_ids_that_are_proposed_are_free(tmp_path: Path) -> None:
    assert checks_user._free_id(str(tmp_path)) == 100000
    (tmp_path / "subuid").write_text("lea:100000:65536\n")
    (tmp_path / "subgid").write_text("tom:300000:70000\n")
    assert checks_user._free_id(str(tmp_path)) == 370000


def test_no_program_is_no_cable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_user, "find", lambda name: "")
    (finding,) = checks_user.check_cable(situation(tmp_path))
    assert finding.state == LIMITED
    assert "passt" in finding.remedy


def test_a_tun_that_does_not_open_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_user, "find", checks_programs.find)
    monkeypatch.setattr(checks_user, "CABLES", ("sh",))
    monkeypatch.setattr(checks_user, "TUN", str(tmp_path / "tun"))
    findings = found(checks_user.check_cable, situation(tmp_path))
    assert findings[str(tmp_path / "tun")].remedy == "sudo modprobe tun"
    (tmp_path / "tun").mkdir()  # not to be opened for writing, not even by root
    findings = found(checks_user.check_cable, situation(tmp_path))
    assert "chmod 0666" in findings[str(tmp_path / "tun")].remedy


def test_folders_of_another_user_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    assert found(checks_user.check_folders, situation(tmp_path))["run folder"].state == OK
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    finding = found(checks_user.check_folders, situation(tmp_path))["run folder"]
    assert (finding.state, finding.required) == (MISSING, True)
    with pytest.raises(PermissionError, match="belongs to user"):
        paths.refuse_foreign(f"{tmp_path}/run")


def test_a_run_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(PermissionError, match="chmod go-w"):
        paths.refuse_foreign(str(tmp_path))
    tmp_path.chmod(0o755)
    paths.refuse_foreign(str(tmp_path))


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    at = situation(tmp_path / ("a" * 100))
    assert found(checks_user.check_folders, at)["socket"].state == MISSING


def test_groups_that_were_not_given_name_the_command(tmp_path: Path) -> None:
    layout = Layout("v1", {}, user=User(1000, lambda _: False), not_given=("memory", "blkio"))
    at = situation(tmp_path)._replace(layout=layout)
    findings = found(checks_cgroups.check_controllers, at)
    for name in ("memory controller", "io controller"):
        assert findings[name].state == LIMITED
        assert "sudo labkit delegate" in findings[name].remedy
    assert "devices controller" not in findings
