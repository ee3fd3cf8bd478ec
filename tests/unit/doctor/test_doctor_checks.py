"""What each check makes of machines that lack something."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.cgroups import Layout
from labkit.cgroups.placement import Hierarchy
from labkit.cgroups.rules import Machine
from labkit.doctor import (
    checks_cgroups,
    checks_engine,
    checks_kernel,
    checks_programs,
    checks_storage,
    examination,
)
from labkit.doctor.finding import LIMITED, MISSING, OK, UNKNOWN, Check, Finding, Situation
from labkit.paths import Paths

V2 = Layout(
    "v2",
    {name: Hierarchy(2, "/cg") for name in ("freezer", "devices", "cpu", "memory", "pids", "io")},
    machine=Machine(swap_accounting=False),
)
EVERYTHING_WORKS = dict.fromkeys(
    [
        *(f"namespace.{name}" for name in checks_kernel.NAMESPACES),
        *("mounts", "overlay", "image", "seccomp", "nat", "kvm", "loop"),
    ],
    "",
)


def situation(tmp_path: Path, **changes: object) -> Situation:
    paths = Paths(str(tmp_path), str(tmp_path))
    return Situation(paths, True, V2, EVERYTHING_WORKS)._replace(**changes)  # type: ignore[arg-type]


def states(check: Check, at: Situation) -> dict[str, str]:
    return {finding.name: finding.state for finding in check(at)}


def test_a_trial_that_failed_is_missing_and_says_why(tmp_path: Path) -> None:
    at = situation(tmp_path, trials={**EVERYTHING_WORKS, "namespace.user": "unshare: EPERM"})
    found = {finding.name: finding for finding in checks_kernel.check_namespaces(at)}
    assert found["user namespace"].state == MISSING
    assert found["user namespace"].detail == "unshare: EPERM"
    assert not found["user namespace"].required
    assert found["PID namespace"].state == OK
    assert found["PID namespace"].required


def test_what_was_not_tried_is_unknown_not_missing(tmp_path: Path) -> None:
    at = situation(tmp_path, trials={}, untried="that needs root", is_root=False)
    assert set(states(checks_kernel.check_namespaces, at).values()) == {UNKNOWN}
    assert states(checks_storage.check_overlay, at) == {"overlay": UNKNOWN}


def test_no_kvm_is_a_limit_only(tmp_path: Path) -> None:
    at = situation(tmp_path, trials={**EVERYTHING_WORKS, "kvm": "No such file or directory"})
    assert states(checks_programs.check_virtual_machines, at)["KVM"] == LIMITED


def test_a_kvm_that_was_not_tried_is_unknown(tmp_path: Path) -> None:
    result = f"{checks_programs.NOT_TRIED}there is no kernel to boot"
    at = situation(tmp_path, trials={**EVERYTHING_WORKS, "kvm": result})
    assert states(checks_programs.check_virtual_machines, at)["KVM"] == UNKNOWN


def test_controllers_of_v2(tmp_path: Path) -> None:
    found = states(checks_cgroups.check_controllers, situation(tmp_path))
    assert found["memory controller"] == OK
    assert found["cpuset controller"] == MISSING
    assert found["devices controller"] == OK


def test_controllers_of_v1_have_its_names(tmp_path: Path) -> None:
    v1 = Layout("v1", {name: Hierarchy(1, f"/cg/{name}") for name in ("cpu", "blkio", "devices")})
    found = {f.name: f for f in checks_cgroups.check_controllers(situation(tmp_path, layout=v1))}
    assert found["blkio controller"].state == OK
    assert found["devices controller"].state == OK
    assert "mount -t cgroup -o memory" in found["memory controller"].remedy


def test_swap_that_is_not_counted(tmp_path: Path) -> None:
    assert states(checks_cgroups.check_swap, situation(tmp_path))["swap limit"] == MISSING


def test_no_cgroups_is_said_once_with_a_remedy(tmp_path: Path) -> None:
    at = situation(tmp_path, layout=Layout("none", {}))
    (finding,) = checks_cgroups.check_version(at)
    assert finding.state == MISSING
    assert "mount -t cgroup2" in finding.remedy


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("5.4.0", (5, 4)),
        ("6.6-rc3", (6, 6)),
        ("6.8+", (6, 8)),
        ("?", (0, 0)),
    ],
)
def test_versions_of_kernels(release: str, version: tuple[int, int]) -> None:
    assert checks_kernel._version(release) == version


def test_an_old_kernel_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_kernel, "OLDEST_KERNEL", (99, 0))
    (finding,) = checks_kernel.check_kernel(situation(tmp_path))
    assert (finding.state, finding.required) == (MISSING, True)
    assert "99.0" in finding.remedy


@pytest.mark.parametrize(
    ("lacking", "state"), [(set(), OK), ({"SYS_RESOURCE"}, LIMITED), ({"SYS_ADMIN"}, MISSING)]
)
def test_capabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: set[str], state: str
) -> None:
    present = set(checks_kernel.LOST_WITHOUT) - lacking
    monkeypatch.setattr(checks_kernel, "effective_capabilities", lambda: present)
    assert states(checks_kernel.check_privileges, situation(tmp_path))["capabilities"] == state


def test_busybox_must_be_static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "busybox"
    monkeypatch.setattr(checks_programs, "find", lambda _: str(program))
    program.write_bytes(b"\x7fELF" + b"\0" * 600 + b"/lib64/ld-linux-x86-64.so.2\0")
    assert states(checks_programs.check_image_tools, situation(tmp_path))["busybox"] == LIMITED
    program.write_bytes(b"\x7fELF" + b"\0" * 600)
    assert states(checks_programs.check_image_tools, situation(tmp_path))["busybox"] == OK
    monkeypatch.setattr(checks_programs, "find", lambda _: "")
    assert states(checks_programs.check_image_tools, situation(tmp_path))["busybox"] == MISSING


def test_a_check_that_stumbles_does_not_stop_the_others(tmp_path: Path) -> None:
    def check_wobble(_: Situation) -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/proc/wobble")
        yield

    (finding,) = examination._findings(check_wobble, situation(tmp_path))
    assert (finding.name, finding.state) == ("wobble", UNKNOWN)
    assert "/proc/wobble" in finding.detail


class FakeDaemon:
    """Answers one connection on a Unix socket with fixed bytes."""

    def __init__(self, path: str, answer: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(1)
        self.thread = threading.Thread(target=self._serve, args=(answer,))
        self.thread.start()

    def _serve(self, answer: bytes) -> None:
        connection, _ = self.socket.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(answer)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.socket.close()


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\n\r\nOK", OK, "API 1.47"),
        (b"HTTP/1.1 500 Oh dear\r\n\r\n", MISSING, "500 Oh dear"),
        (b"", MISSING, "nothing"),
    ],
)
def test_what_the_daemon_answers(tmp_path: Path, answer: bytes, state: str, says: str) -> None:
    at = situation(tmp_path)
    with FakeDaemon(at.paths.socket, answer):
        (finding,) = checks_engine.check_daemon(at)
    assert finding.state == state
    assert says in finding.detail


@pytest.mark.parametrize("is_root", [True, False])
def test_no_daemon_is_no_matter_for_the_first_command_starts_it(
    tmp_path: Path, is_root: bool
) -> None:
    (finding,) = checks_engine.check_daemon(situation(tmp_path, is_root=is_root))
    assert finding.state == OK


def test_a_socket_nobody_listens_on_is_no_daemon(tmp_path: Path) -> None:
    at = situation(tmp_path)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(at.paths.socket)
    (finding,) = checks_engine.check_daemon(at)
    assert "not running" in finding.detail


def test_a_socket_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checks_engine, "ping", refuse)
    (finding,) = checks_engine.check_daemon(situation(tmp_path, is_root=False))
    assert (finding.state, finding.required) == (MISSING, True)
    assert "usermod" in finding.remedy


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = situation(tmp_path)._replace(paths=Paths(f"{tmp_path}/not/there/yet", "/run/x"))
    monkeypatch.setattr(checks_storage, "ENOUGH_DISK_BYTES", 1 << 70)
    assert states(checks_storage.check_space, at) == {"disk space": LIMITED}
    monkeypatch.setattr(checks_storage, "LEAST_DISK_BYTES", 1 << 70)
    assert states(checks_storage.check_space, at) == {"disk space": MISSING}
