"""Which devices of the host a container can use: none, one that it is given, all of them."""

import os
import stat
from collections.abc import Callable

import pytest

from labkit.containers.records.model import DeviceMapping
from labkit.errors import InvalidParameterError, StartError
from tests.containers import create, shell
from tests.lab import Lab

pytestmark = pytest.mark.root


def block_device() -> str:
    """Some block device of this machine: a disk of it, or a loop device on nothing."""
    names = (f"/dev/{name}" for name in sorted(os.listdir("/sys/block")))
    # A container without power has none, and runs none of these tests.
    return next((name for name in names if os.path.exists(name)), os.devnull)


DISK = block_device()
NUMBERS = f"{os.major(os.stat(DISK).st_rdev)} {os.minor(os.stat(DISK).st_rdev)}"
OWN_NODE = f"mknod /disk b {NUMBERS} && : < /disk"
TO_READ, TO_WRITE = ": < /dev/disk", ": 1<> /dev/disk"


def mapping(access: str = "rwm", place: str = "/dev/disk") -> list[DeviceMapping]:
    return [DeviceMapping(DISK, place, access)]


def test_a_device_file_of_its_own_opens_nothing(engine):
    output, code = shell(engine, f"{OWN_NODE} 2>&1")
    assert (code, "Operation not permitted" in output) == (1, True), output


def test_without_the_rules_it_would(engine):
    assert shell(engine, OWN_NODE, without=("cgroup.devices",)) == ("", 0)


@pytest.mark.parametrize(
    ("access", "reads", "writes"), [("rwm", True, True), ("r", True, False), ("m", False, False)]
)
def test_a_device_that_it_is_given(engine, access, reads, writes):
    for script, works in ((TO_READ, reads), (TO_WRITE, writes)):
        output, code = shell(engine, script, devices=mapping(access))
        assert (code == 0) == works, output


def test_its_numbers_kind_and_mode(engine):
    output, _ = shell(
        engine, "stat -c '%F %t %T %a' /srv/disks/one", devices=mapping("r", "/srv/disks/one")
    )
    found = os.stat(DISK)
    numbers = f"{os.major(found.st_rdev):x} {os.minor(found.st_rdev):x}"
    assert output == f"block special file {numbers} {stat.S_IMODE(found.st_mode):o}\n"


def test_a_place_in_the_writable_layer_is_filled_at_each_start(engine):
    container_id = create(engine, "sh", "-c", ": < /disk", devices=mapping("r", "/disk"))
    for _ in range(2):
        engine.start(container_id)
        assert engine.wait(container_id, timeout_s=60).exit_code == 0


def test_a_rule_for_what_it_makes_itself(engine):
    rules = [f"b {NUMBERS.replace(' ', ':')} r"]
    assert shell(engine, OWN_NODE, device_cgroup_rules=rules) == ("", 0)
    assert shell(engine, f"{OWN_NODE}; : 1<> /disk", device_cgroup_rules=rules)[1] == 1


def test_privileged_has_it_all(engine):
    script = (
        f": < {DISK} && mount -t tmpfs none /mnt && grep CapBnd /proc/self/status && "
        "grep Seccomp: /proc/self/status && head -1 /proc/timer_list && mkdir /sys/fs/cgroup/x"
    )
    if os.path.isdir("/sys/fs/cgroup/memory"):
        script = script.replace("/sys/fs/cgroup/x", "/sys/fs/cgroup/memory/x")
    output, code = shell(engine, f"mkdir -p /mnt; {script}", privileged=True)
    assert code == 0, output
    assert "Seccomp:\t0" in output
    with open("/proc/self/status") as status:
        bounding = next(line for line in status if line.startswith("CapBnd"))
    assert bounding in output


def test_privileged_leaves_no_group_behind(engine):
    """One that it made itself goes with its own."""
    script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir -p $d/x/y; done 2>/dev/null; :"
    shell(engine, script, privileged=True)
    assert engine.layout.leftovers() == []


@pytest.mark.host_power("devices")
def test_exec_of_a_privileged_container_is_privileged(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    lab.cli("run", "-d", "--privileged", "--name", "all", "busybox", "sleep", "60")
    assert lab.cli("exec", "all", "sh", "-c", f": < {DISK}").returncode == 0
    lab.cli("run", "-d", "--name", "little", "busybox", "sleep", "60")
    done = lab.cli("exec", "--privileged", "little", "grep", "CapBnd", "/proc/self/status")
    ours = lab.cli("exec", "all", "grep", "CapBnd", "/proc/self/status")
    assert done.stdout == ours.stdout


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (DeviceMapping("/dev/nosuch"), 'device "/dev/nosuch": no such file'),
        (DeviceMapping("/etc/passwd"), "not a device node"),
        (DeviceMapping("dev/null"), "absolute"),
        (DeviceMapping("/dev/null", "/dev/null", "rx"), 'permissions "rx"'),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(engine, asked, why):
    before = len(engine.list())
    with pytest.raises(InvalidParameterError, match=why):
        create(engine, "true", devices=[asked])
    assert len(engine.list()) == before


def test_a_device_that_has_gone_since(engine, tmp_path):
    node = f"{tmp_path}/null"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    container_id = create(engine, "true", devices=[DeviceMapping(node, "/dev/mine")])
    os.unlink(node)
    with pytest.raises(StartError, match="no such file"):
        engine.start(container_id)
    assert engine.get(container_id).state.status == "created"


def test_a_folder_is_all_devices_in_it(engine, tmp_path):
    os.makedirs(f"{tmp_path}/more/below")
    os.mknod(f"{tmp_path}/more/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(f"{tmp_path}/more/below/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (tmp_path / "more" / "text").write_text("no device")
    devices = [DeviceMapping(f"{tmp_path}/more", "/dev/more")]
    output, _ = shell(engine, "find /dev/more -type c | sort", devices=devices)
    assert output.split() == ["/dev/more/below/zero", "/dev/more/null"]


@pytest.mark.host_power("devices")
def test_by_command(lab: Lab) -> None:
    device = f"{DISK}:/dev/disk:r"
    done = lab.cli("run", "--rm", "--device", device, "busybox", "sh", "-c", TO_READ)
    assert done.returncode == 0, done.stderr
    words = ("run", "--rm", "--device-cgroup-rule", f"b {NUMBERS.replace(' ', ':')} rw")
    assert lab.cli(*words, "busybox", "sh", "-c", OWN_NODE).returncode == 0
    for flags, message in (
        (("--device", f"{DISK}:rx"), "bad mode specified: rx"),
        (("--device", "/dev/nosuch"), "/dev/nosuch"),
        (("--device-cgroup-rule", "all"), "invalid device cgroup rule format: 'all'"),
    ):
        done = lab.cli("run", "--rm", *flags, "busybox", "true")
        assert done.returncode == 125
        assert message in done.stderr
