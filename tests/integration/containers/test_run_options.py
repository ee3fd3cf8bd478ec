"""What a container may do and is called, by the options of `docker run`."""

import contextlib
import os

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root

SHOW = "cd /proc/sys; cat net/core/somaxconn kernel/msgmax net/ipv4/ip_forward"


@pytest.fixture
def run(lab: Lab):
    """Runs busybox with options and a script; what it prints."""

    def call(*words: str) -> str:
        *options, script = words
        image = ("busybox", "sh", "-c", script)
        return lab.cli("run", "--rm", *options, *image, check=True).stdout.strip()

    yield call
    lab.remove_containers()


def create(lab: Lab, **fields: object) -> tuple[int, str]:
    status, answer = lab.api("POST", "/containers/create", {"Image": "busybox", **fields})
    return status, str(answer)


@pytest.mark.host_power("kernel")
def test_an_ordinary_user_opens_low_ports_and_sends_pings(run):
    files = ("ip_unprivileged_port_start", "ping_group_range")
    show = "; ".join(f"cat /proc/sys/net/ipv4/{name}" for name in files)
    assert run("-u", "1000", show).split() == ["0", "0", "2147483647"]
    listen = (
        "nc -l -p 80 & until netstat -ltn | grep -q :80; do kill -0 $! || exit 1; done; echo ok"
    )
    assert run("-u", "1000", listen) == "ok"
    host = run("--network", "host", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        assert host == file.read().strip()


def test_parameters_of_the_kernel(lab, run):
    body = {
        "Cmd": ["sh", "-c", SHOW],
        "HostConfig": {
            "Sysctls": {"net.core.somaxconn": "333", "kernel.msgmax": "5000",
                        "net/ipv4/ip_forward": "0"},
        },
    }  # fmt: skip
    status, answer = lab.api("POST", "/containers/create?name=tuned", {"Image": "busybox", **body})
    assert status == 201, answer
    assert lab.cli("start", "-a", "tuned").stdout.split() == ["333", "5000", "0"]
    shown = lab.api("GET", "/containers/tuned/json")[1]["HostConfig"]["Sysctls"]
    assert shown == body["HostConfig"]["Sysctls"]


@pytest.mark.parametrize(
    ("sysctl", "host", "words"),
    [("kernel.sysrq", {}, "not in a separate kernel namespace"),
     ("net.core.somaxconn", {"NetworkMode": "host"}, "not allowed in host network namespace"),
     ("kernel.shmmax", {"IpcMode": "host"}, "not allowed in the hosts ipc namespace")],
)  # fmt: skip
def test_parameters_of_the_whole_machine_are_refused_at_the_start(lab, run, sysctl, host, words):
    status, answer = create(lab, HostConfig={"Sysctls": {sysctl: "1"}, **host})
    assert status == 201, answer
    (container,) = lab.api("GET", "/containers/json?all=1")[1]
    status, answer = lab.api("POST", f"/containers/{container['Id']}/start")
    assert (status, words in answer["message"]) == (500, True), answer


def test_more_groups_also_for_a_command_that_is_started_later(lab):
    body = {"Cmd": ["sleep", "60"], "User": "12345", "HostConfig": {"GroupAdd": ["99", "daemon"]}}
    lab.api("POST", "/containers/create?name=grouped", {"Image": "busybox", **body})
    lab.cli("start", "grouped", check=True)
    assert lab.cli("exec", "grouped", "id").stdout == (
        "uid=12345 gid=0(root) groups=0(root),1(daemon),99\n"
    )
    lab.cli("rm", "-f", "grouped", check=True)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [({"Hostname": "web", "Domainname": "example.org"}, "web example.org web.example.org web"),
     ({"Hostname": "web.example.org"}, "web.example.org (none) web.example.org web"),
     ({"Hostname": "web"}, "web (none) web")],
)  # fmt: skip
def test_names_of_a_container(lab, asked, shown):
    show = "hostname; cat /proc/sys/kernel/domainname; tail -n 1 /etc/hosts | cut -f 2"
    body = {"Image": "busybox", "Cmd": ["sh", "-c", show], **asked}
    assert lab.api("POST", "/containers/create?name=named", body)[0] == 201
    assert lab.cli("start", "-a", "named").stdout.split() == shown.split()
    lab.cli("rm", "named", check=True)


def test_names_of_the_runtime(lab, run):
    for name in ("runc", "io.containerd.runc.v2", "labkit", ""):
        assert create(lab, HostConfig={"Runtime": name})[0] == 201
    status, answer = create(lab, HostConfig={"Runtime": "crun"})
    assert (status, "unknown or invalid runtime name: crun" in answer) == (400, True)


@pytest.mark.host_power("cgroups")
def test_a_group_above_its_own_is_honoured(lab, run):
    parent = f"{lab.cgroup_parent}-above/below"
    body = {"Cmd": ["sleep", "60"], "HostConfig": {"CgroupParent": f"/{parent}"}}
    lab.api("POST", "/containers/create?name=below", {"Image": "busybox", **body})
    lab.cli("start", "below", check=True)
    container = lab.api("GET", "/containers/below/json")[1]
    with open(f"/proc/{container['State']['Pid']}/cgroup") as file:
        places = [line.strip().split(":")[2] for line in file]
    name = f"/{parent}/{container['Id']}"
    assert name in places
    lab.cli("pause", "below", check=True)
    lab.stop_daemon()
    lab.start_daemon()
    assert lab.cli("ps", "--format", "{{.Status}}").stdout.strip().endswith("(Paused)")
    lab.cli("rm", "-f", "below", check=True)
    tops = ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup"))]
    for folder in (parent, os.path.dirname(parent)):
        for top in tops:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(f"{top}/{folder}")  # nothing is left in it


def test_the_mark_is_there_and_no_change_of_the_container(lab, run):
    lab.cli("run", "--name", "marked", "busybox", "test", "-f", "/.dockerenv", check=True)
    assert lab.cli("diff", "marked", check=True).stdout == ""
    image = lab.cli("commit", "marked", check=True).stdout.strip()
    made = lab.api("GET", f"/images/{image}/json")[1]
    assert made["Size"] == lab.api("GET", "/images/busybox/json")[1]["Size"]
    lab.cli("rm", "marked", check=True)
    lab.cli("rmi", image, check=True)


def test_logs_that_are_kept_and_one_that_is_not(lab, run):
    for driver, kept in (("local", "hi\n"), ("json-file", "hi\n"), ("none", "")):
        words = ("--name", "logging", "--log-driver", driver, "busybox", "echo", "hi")
        assert lab.cli("run", *words, check=True).stdout == "hi\n"
        shown = lab.cli("logs", "logging")
        assert shown.stdout == kept
        if not kept:
            assert "configured logging driver does not support reading" in shown.stderr
        config = lab.api("GET", "/containers/logging/json")[1]["HostConfig"]["LogConfig"]
        assert config["Type"] == driver
        lab.cli("rm", "logging", check=True)


def test_a_tag_is_shown_with_the_details(lab, run):
    words = (
        "--log-opt",
        "tag={{.Name}}/{{.ImageName}}",
        "--name",
        "tagged",
        "busybox",
        "echo",
        "x",
    )
    lab.cli("run", *words, check=True)
    status, text = lab.api("GET", "/containers/tagged/logs?stdout=1&details=1")
    assert (status, text.endswith("tag=tagged%2Fbusybox x\n")) == (200, True), text
    lab.cli("rm", "tagged", check=True)
