"""Known ways out through the kernel's own files: each is tried, and by a control seen to be one.

A control is the same attempt with the step left out, or with `--privileged`.  Device files that a
container makes itself are with the devices it is given: test_devices.py.
"""

import os
import re
import subprocess
from contextlib import suppress

import pytest

from labkit.containers import ContainerConfig, HostConfig
from labkit.errors import InvalidParameterError, StartError
from tests.containers import create, exchanging, execute, run, shell, wait_until
from tests.integration.containers.test_volumes import import_image, link

pytestmark = pytest.mark.root

SWITCHES = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sysrq-trigger",
)
"""Who writes to these commands the whole machine: a program of his, run by the kernel as root."""
SECRETS = "cat /proc/keys /proc/timer_list /proc/interrupts 2>&- | head -c 1 | wc -c"


def opened(engine, *paths, **options) -> list[str]:
    """Those of the files that can be opened for writing; nothing is written."""
    script = "; ".join(f"( : 1<>{path} ) 2>/dev/null && echo {path}" for path in paths)
    return shell(engine, f"{script}; true", **options)[0].split()


def test_core_pattern_and_sysrq_trigger(engine):
    assert opened(engine, *SWITCHES) == []
    there = [path for path in SWITCHES if os.path.exists(path)]
    assert opened(engine, *SWITCHES, without=["readonly_paths"]) == there


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t proc none /mnt",  # a /proc without covers
        "mount -t sysfs none /mnt",
        "mount -t cgroup2 none /mnt",  # CVE-2022-0492: groups whose release_agent is its own
        "mount -o remount,rw /sys",
        "umount /proc/keys",
        "mount --bind / /mnt",
    ],
)
def test_cve_2022_0492_no_other_way_to_the_kernels_files(engine, mount):
    attempt = f"mkdir -p /mnt; {mount} 2>/dev/null"
    assert shell(engine, attempt)[1] != 0
    if "umount" not in mount:  # where nothing is covered there is nothing to take off
        assert shell(engine, attempt, privileged=True)[1] == 0


def test_cve_2022_0492_no_namespace_of_its_own_to_be_root_in(engine):
    attempt = "unshare -U -r -m true 2>/dev/null"
    assert shell(engine, attempt)[1] != 0
    assert shell(engine, attempt, privileged=True)[1] == 0


def test_no_release_agent_can_be_written(engine):
    """CVE-2022-0492 again: what is mounted already."""
    find = "find /sys/fs/cgroup -name release_agent -o -name 'devices.*allow' -o -name cgroup.procs"
    script = f"for f in $({find}); do ( : 1<>$f ) 2>/dev/null && echo $f; done; true"
    assert shell(engine, script)[0] == ""
    assert "cgroup.procs" in shell(engine, script, privileged=True)[0]


@pytest.fixture
def hostile_dev(tmp_path):
    """A volume for /dev whose files are links to what the kernel obeys."""
    for name in ("null", "console", "ptmx"):
        os.symlink("/proc/sys/kernel/core_pattern", tmp_path / name)
    return [f"{tmp_path}:/dev"]


@pytest.mark.parametrize("tty", [False, True])
def test_cve_2025_31133_covered_by_what_a_link_leads_to(engine, hostile_dev, tty):
    """And CVE-2025-52565, the same with /dev/console: neither is taken from a volume."""
    script = f"grep -c sys/kernel /proc/self/mountinfo; {SECRETS}"
    output, _ = shell(engine, script, binds=hostile_dev, tty=tty)
    # proc's read-only /proc/sys is one mount by that name; another would be the link's.
    assert output.split() == ["0", "0"]


def test_cve_2025_31133_covered_by_nothing(engine):
    """A /dev without null, as a tmpfs over it is: the covers must not be left out for that."""
    assert shell(engine, SECRETS, tmpfs={"/dev": ""})[0].strip() == "0"
    assert shell(engine, SECRETS, tmpfs={"/dev": ""}, without=["masked_paths"])[0].strip() == "1"


@pytest.mark.parametrize("points_to", ["/", "tmp/fake", "/dev/shm"])
@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_cve_2019_19921_proc_behind_a_link_of_the_images(engine, name, points_to):
    """And CVE-2023-27561, CVE-2023-28642: what lies there can be exchanged, covers too."""
    import_image(engine, "liar", link(name, points_to))
    import_image(engine, "honest", link("other", points_to))
    config = ContainerConfig(image="liar", cmd=["/bin/busybox", "true"])
    container, _ = engine.create(config, HostConfig())
    with pytest.raises(StartError, match="symbolic link in the image"):
        engine.start(container.id)
    config = ContainerConfig(image="honest", cmd=["/bin/busybox", "true"])
    container, _ = engine.create(config, HostConfig())
    engine.start(container.id)
    assert engine.wait(container.id, timeout_s=20).exit_code == 0


@pytest.mark.parametrize("target", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/proc/keys"])
def test_cve_2019_16884_a_volume_in_place_of_proc(engine, target):
    """What a program reads below /proc it takes for the kernel's word."""
    with pytest.raises(InvalidParameterError, match="inside /proc"):
        shell(engine, "true", binds=[f"v1:{target}"])
    import_image(engine, "liar", link("process", "proc"))
    below = target.removeprefix("/proc")
    config = ContainerConfig(image="liar", cmd=["/bin/busybox", "true"])
    container, _ = engine.create(config, HostConfig(binds=[f"v1:/process{below}"]))
    with pytest.raises(StartError, match="inside /proc"):
        engine.start(container.id)
    assert shell(engine, "true", binds=[f"v1:/process{below}"])[1] == 0


def test_cve_2021_30465_a_place_exchanged_for_a_link(engine, folder):
    """Who has a shared volume exchanges a folder in it while another is mounting below it."""
    os.mkdir(f"{folder}/host")
    shell(engine, f"mkdir /v/a; ln -s /../../..{folder}/host /v/b", binds=["shared:/v"])
    volume = engine.volumes.find("shared").data
    with exchanging(f"{volume}/a", f"{volume}/b") as count:
        rounds = 0
        while rounds < 20:
            before = count[0]
            with suppress(StartError):  # what is exchanged just then is refused
                shell(engine, "true", binds=["shared:/v", "other:/v/a/made"])
            rounds += count[0] > before + 1  # it was a folder and a link in this time
    assert os.listdir(f"{folder}/host") == []


CAPABILITIES = "grep -E 'Cap(Inh|Amb|Bnd)' /proc/self/status"


def masks(status: str, *names: str) -> set[int]:
    """The capabilities in these lines of /proc/PID/status."""
    found = re.findall(rf"^({'|'.join(names)}):\s*([0-9a-f]{{16}})$", status, re.MULTILINE)
    assert len(found) == len(names), status
    return {int(mask, 16) for _, mask in found}


@pytest.mark.parametrize("user", ["", "1000", "1000:1000"])
def test_cve_2022_24769_nothing_to_inherit(engine, user):
    """Inheritable capabilities would come back with a file's."""
    output, _ = shell(engine, CAPABILITIES, user=user)
    assert masks(output, "CapInh", "CapAmb") == {0}
    assert masks(output, "CapBnd") != {0}  # these lines do show capabilities


@pytest.mark.parametrize("privileged", [False, True])
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_cve_2022_29162_nothing_to_inherit_in_an_exec(engine, user, privileged):
    container_id = create(engine, "sleep", "60", cap_add=["NET_ADMIN"])
    engine.start(container_id)
    command = ("sh", "-c", CAPABILITIES)
    output, _ = execute(engine, container_id, *command, user=user, privileged=privileged)
    assert masks(output, "CapInh", "CapAmb") == {0}
    assert masks(output, "CapBnd") != {0}
    engine.kill(container_id)


FALSE_PROC = """
mkdir /true && mount -t proc none /true && mount -t tmpfs none /proc || exit
for name in self thread-self 1; do
    mkdir -p /proc/$name/attr
    for file in oom_score_adj uid_map gid_map setgroups attr/exec attr/keycreate; do
        echo mine > /proc/$name/$file
    done
done
exec sleep 60
"""


def test_cve_2025_52881_what_the_engine_writes_goes_to_the_kernel(engine):
    """Who may mount lays files of his own over /proc: an exec's settings would end up there."""
    container_id = create(engine, "sh", "-c", FALSE_PROC, privileged=True, oom_score_adj=321)
    engine.start(container_id)
    look = ("sh", "-c", "sort -u /proc/*/oom_score_adj /proc/*/*_map /proc/*/attr/*")
    wait_until(lambda: execute(engine, container_id, *look) == ("mine\n", 0))
    score = ("sh", "-c", "cat /true/self/oom_score_adj; echo lost > /proc/self/oom_score_adj")
    assert execute(engine, container_id, *score) == ("321\n", 0)
    # The files were as they had been, though anybody could have written to them.
    assert execute(engine, container_id, *look) == ("lost\nmine\n", 0)
    engine.kill(container_id)


@pytest.mark.parametrize(("user", "groups"), [("1000:1000", "1000"), ("1000", "0"), ("", "0")])
def test_cve_2022_36109_its_group_cannot_be_left(engine, user, groups):
    """A group that forbids something would be left by a set-group-id program."""
    output, _ = run(engine, "grep", "Groups", "/proc/self/status", user=user)
    assert groups in output.split()[1:]


STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status"
COVERS = "cut -d' ' -f5,6 /proc/self/mountinfo | grep -E '^/(proc|sys)' | sed 's/,relatime//'"


def test_as_hardened_as_docker(engine, oracle):
    """The default container has no power, and no file of the kernel's, that docker's has not."""
    theirs = oracle.docker(
        *("run", "--rm", "--network", "none", "busybox", "sh", "-c", f"{STATUS}; {COVERS}")
    )
    assert theirs.returncode == 0, theirs.stderr
    ours = shell(engine, f"{STATUS}; {COVERS}")[0].splitlines()
    expected = theirs.stdout.decode().splitlines()
    powers = [line for line in expected if not line.startswith("/")]
    assert [line for line in ours if not line.startswith("/")] == powers
    covered = {line.split()[0] for line in ours if line.startswith("/")}
    wanted = {line.split()[0] for line in expected if line.startswith(("/proc", "/sys/"))}
    cgroups = {path for path in wanted if path.startswith("/sys/fs/cgroup")}
    assert wanted - cgroups - covered == set()
    writable = [line for line in ours if line.startswith("/") and "ro," not in line + ","]
    assert {line.split()[0] for line in writable} <= {"/proc", *MASKED_BY_NULL}


MASKED_BY_NULL = {
    f"/proc/{name}"
    for name in ("interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list")
}
"""The null device takes writes, and forgets them."""


def test_cve_2021_41091_nobody_of_the_host_reaches_a_containers_files(engine, folder):
    """A set-user-id program in a container must be no way for the host's users."""
    os.chmod(folder, 0o755)
    output, code = shell(engine, "cp /bin/busybox /su && chmod 4755 /su && echo made")
    assert (output, code) == ("made\n", 0)
    (program,) = [
        f"{path}/su" for path, _, files in os.walk(f"{folder}/root/containers") if "su" in files
    ]
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-x"]
    assert subprocess.run([*as_nobody, program], check=False).returncode != 0
    os.chmod(f"{folder}/root", 0o755)
    for path in (f"{folder}/root/containers", os.path.dirname(os.path.dirname(program))):
        os.chmod(path, 0o755)
    assert subprocess.run([*as_nobody, program], check=False).returncode == 0
