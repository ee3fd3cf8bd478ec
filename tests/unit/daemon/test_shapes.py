"""What clients are shown: times in words, the line of `ps`, the whole of `inspect`."""

import shutil
import threading

import pytest

from labkit.containers import State
from labkit.containers.given import security
from labkit.daemon.shapes import containers, images, system
from labkit.dialect.moments import unix_s
from tests.unit.daemon.stand_in import CREATED, IMAGE_ID, StandIn, container, image

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "Created"),
        (State(status="running", started_at="2024-05-01T12:00:00Z"), "Up 5 minutes"),
        (
            State(status="exited", exit_code=137, finished_at="2024-05-01T12:04:59.5Z"),
            "Exited (137) Less than a second ago",
        ),
        (State(status="dead"), "Dead"),
    ],
)
def test_status(state, words):
    assert containers.status_text(state, unix_s("2024-05-01T12:05:00Z")) == words


def test_summary(engine):
    shown = containers.summary(engine, container(1, "web", "running", labels={"a": "b"}))
    assert shown["Names"] == ["/web"]
    assert shown["Command"] == "sh -c 'echo hi'"
    assert shown["Created"] == 1714564800
    assert shown["ImageID"] == IMAGE_ID
    assert shown["State"] == "running"
    assert shown["Labels"] == {"a": "b"}
    assert shown["NetworkSettings"]["Networks"].keys() == {"none"}


@pytest.fixture
def engine():
    made = StandIn(container(1, "web", "running"), container(2, "old", "exited"))
    yield made
    shutil.rmtree(made.folder)


def test_inspection(engine):
    web = engine.get("web")
    web.without = ["pivot_root"]
    security.fill_in(web.host_config)
    shown = containers.inspection(engine, web)
    assert shown["Name"] == "/web"
    assert (shown["Path"], shown["Args"]) == ("sh", ["-c", "echo hi"])
    assert shown["State"]["Running"] is True
    assert shown["State"]["OOMKilled"] is False
    assert shown["State"]["Pid"] == 77
    assert shown["HostConfig"]["NetworkMode"] == "none"
    assert shown["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert shown["HostConfig"]["CpusetCpus"] == ""
    assert "/proc/kcore" in shown["HostConfig"]["MaskedPaths"]
    assert shown["Config"]["Image"] == "busybox"
    assert shown["Config"]["Tty"] is False
    assert shown["GraphDriver"]["Data"]["LowerDir"] == "/layers/top:/layers/base"
    assert shown["GraphDriver"]["Data"]["UpperDir"] == f"/root/{web.id}/upper"
    assert shown["Labkit"] == {"Without": ["pivot_root"]}


def test_inspection_when_the_image_is_gone(engine):
    old = engine.get("old")
    old.image_id = "sha256:" + "9" * 64
    assert containers.inspection(engine, old)["GraphDriver"]["Data"] is None


def test_image():
    shown = images.image_inspection(image("busybox:latest", "localhost:5000/x:1"))
    assert shown["Created"] == CREATED
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["Config"]["Env"] is None
    assert [name.partition("@")[0] for name in shown["RepoDigests"]] == [
        "busybox",
        "localhost:5000/x",
    ]
    assert images.image_summary(image())["RepoTags"] == []


def test_the_digests_of_an_image():
    """Those that registries gave, and the manifest's where none did."""
    given = f"localhost:5000/x@sha256:{'7' * 64}"
    known = image("busybox:latest", "localhost:5000/x:1", given)
    shown = images.image_inspection(known)
    assert shown["RepoTags"] == ["busybox:latest", "localhost:5000/x:1"]
    assert shown["RepoDigests"] == [given, f"busybox@{known.digest}"]
    assert images.image_summary(image(given))["RepoTags"] == []
    assert images.image_summary(image(given))["RepoDigests"] == [given]


def test_info_counts_and_tells_the_machine(engine):
    shown = system.info(engine)
    assert (shown["Containers"], shown["ContainersRunning"], shown["ContainersStopped"]) == (
        2,
        1,
        1,
    )
    assert shown["Images"] == 2
    assert shown["CgroupVersion"] == "1"
    assert shown["MemTotal"] > 1 << 20
    assert shown["NCPU"] >= 1
    assert shown["MemoryLimit"] is True
    assert shown["CPUSet"] is False
    assert shown["NGoroutines"] == threading.active_count()
    assert shown["Warnings"] == ["a warning"]


def test_version():
    shown = system.version()
    assert (shown["ApiVersion"], shown["MinAPIVersion"]) == ("1.51", "1.24")
    assert shown["Components"][0]["Details"]["KernelVersion"] == shown["KernelVersion"]
