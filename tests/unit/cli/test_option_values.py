"""Flags whose values have an inside become the API's fields."""

import os

import pytest

from labkit.cli.attached.streams import ATTACH, chosen
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import parse
from labkit.cli.values.container_flags import FLAGS, request_body


def body(*words: str) -> dict[str, object]:
    options, arguments = parse((*FLAGS, ATTACH), [*words, "busybox"], interspersed=False)
    return request_body(options, arguments, chosen(options))


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--restart", "always"], "RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}),
        (["--restart", "on-failure:3"], "RestartPolicy",
         {"Name": "on-failure", "MaximumRetryCount": 3}),
        (["-v", "data:/d", "-v", "/h:/c:ro"], "Binds", ["data:/d", "/h:/c:ro"]),
        (["--device-write-bps", "/dev/x:5mb"], "BlkioDeviceWriteBps",
         [{"Path": "/dev/x", "Rate": 5 << 20}]),
        (["--device-read-bps", "/dev/x:1gb"], "BlkioDeviceReadBps",
         [{"Path": "/dev/x", "Rate": 1 << 30}]),
        (["--device-read-iops", "/dev/x:7"], "BlkioDeviceReadIOps",
         [{"Path": "/dev/x", "Rate": 7}]),
        (["--device-write-iops", "/dev/x:7"], "BlkioDeviceWriteIOps",
         [{"Path": "/dev/x", "Rate": 7}]),
        (["--blkio-weight", "600"], "BlkioWeight", 600),
        (["--blkio-weight-device", "/dev/x:600"], "BlkioWeightDevice",
         [{"Path": "/dev/x", "Weight": 600}]),
        (["-v", "./x:/c"], "Binds", [f"{os.getcwd()}/x:/c"]),
        (["--tmpfs", "/t", "--tmpfs", "/u:size=1m,ro"], "Tmpfs", {"/t": "", "/u": "size=1m,ro"}),
        (["--log-opt", "max-size=1m"], "LogConfig",
         {"Type": "json-file", "Config": {"max-size": "1m"}}),
        (["--mount", "Type=bind,SOURCE=/a,Target=/b,ReadOnly=false"], "Mounts",
         [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": False}]),
        (["--mount", "type=bind,source=/a,target=/b,readonly"], "Mounts",
         [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}]),
        (["--mount", "src=v,dst=/b,volume-nocopy,volume-label=a=b"], "Mounts",
         [{"Type": "volume", "Source": "v", "Target": "/b",
           "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}}}]),
        (["--mount", "type=tmpfs,dst=/t,tmpfs-size=9,tmpfs-mode=1770"], "Mounts",
         [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 9, "Mode": 0o1770}}]),
    ],
)  # fmt: skip
def test_of_the_host(words: list[str], field: str, value: object) -> None:
    assert body(*words)["HostConfig"][field] == value


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["-v", "/anonymous"], {"Volumes": {"/anonymous": {}}}),
        (["-i"], {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "Tty": False}),
        (["-t"], {"OpenStdin": False, "AttachStdin": False, "Tty": True}),
        (["-a", "stdout"], {"AttachStdin": False, "AttachStdout": True, "AttachStderr": False}),
        (["--stop-signal", "INT", "--stop-timeout", "3"],
         {"StopSignal": "INT", "StopTimeout": 3}),
        (["--no-healthcheck"], {"Healthcheck": {"Test": ["NONE"]}}),
        (["--health-cmd", "test -f /x", "--health-interval", "1m30s", "--health-retries", "2"],
         {"Healthcheck": {"Test": ["CMD-SHELL", "test -f /x"], "Interval": 90 * 10**9,
                          "Retries": 2}}),
    ],
)  # fmt: skip
def test_of_the_container(words: list[str], fields: dict[str, object]) -> None:
    sent = body(*words)
    assert {name: sent[name] for name in fields} == fields


def test_nothing_is_sent_that_is_not_asked_for() -> None:
    sent = body()
    for name in ("Volumes", "Healthcheck", "StopTimeout", "Labkit"):
        assert name not in sent
    for name in ("Binds", "Mounts", "Tmpfs", "RestartPolicy", "LogConfig", "ConsoleSize"):
        assert name not in sent["HostConfig"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--restart", "on-failure:often"], "maximum retry count must be an integer"),
        (["--restart", "always", "--rm"], "Conflicting options: --restart and --rm"),
        (["-v", "name"], "it must be [name:|/path:]/place[:options]"),
        (["--mount", "type=bind"], "target is required"),
        (["--mount", "nosuch=1"], "unexpected key 'nosuch'"),
        (["--mount", "target"], "'target' needs a value"),
        (["--mount", "dst=/a,readonly=maybe"], "invalid value for readonly: maybe"),
        (["--log-opt", "max-size"], "it must be NAME=VALUE"),
        (["--no-healthcheck", "--health-cmd", "x"], "conflicts with --health-* options"),
        (["--health-interval", "soon"], "a duration is needed"),
        (["--device", "/dev/sda:rx"], "bad mode specified: rx"),
        (["--device", "/dev/sda:/a:/b:r"], "bad format for path"),
        (["--ulimit", "nofile"], "it must be NAME=SOFT[:HARD]"),
        (["--ulimit", "nofile=many"], "in numbers"),
        (["--pull", "sometimes"], "it must be always, missing or never"),
        (["-a", "stdwhat"], "it must be stdin, stdout or stderr"),
        (["--env-file", "/nosuch"], "cannot read /nosuch: No such file or directory"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        body(*words)
    assert message in str(caught.value)
    assert caught.value.exit_code == 125


@pytest.mark.parametrize(
    ("text", "place", "access"),
    [
        ("/dev/sda", "/dev/sda", "rwm"),
        ("/dev/sda:r", "/dev/sda", "r"),
        ("/dev/sda:/dev/xvda", "/dev/xvda", "rwm"),
        ("/dev/sda:/dev/xvda:rw", "/dev/xvda", "rw"),
    ],
)
def test_devices(text: str, place: str, access: str) -> None:
    (device,) = body("--device", text)["HostConfig"]["Devices"]
    assert device == {
        "PathOnHost": "/dev/sda",
        "PathInContainer": place,
        "CgroupPermissions": access,
    }


def test_limits_of_each_process() -> None:
    host = body("--ulimit", "nofile=10:20", "--ulimit", "core=0", "--memory-swappiness", "0")
    assert host["HostConfig"]["Ulimits"] == [
        {"Name": "nofile", "Soft": 10, "Hard": 20},
        {"Name": "core", "Soft": 0, "Hard": 0},
    ]
    assert host["HostConfig"]["MemorySwappiness"] == 0
    assert "MemorySwappiness" not in body()["HostConfig"]


@pytest.mark.parametrize(
    "words",
    [
        ["--device-write-bps", "/dev/x"],
        ["--device-write-bps", "/dev/x:much"],
        ["--device-write-bps", "/dev/x:-1"],
        ["--device-write-bps", "/tmp/x:1mb"],
        ["--device-read-iops", "/dev/x:1mb"],
        ["--blkio-weight-device", "/dev/x:9"],
        ["--blkio-weight-device", "/dev/x:1001"],
    ],
)
def test_nonsense_limits_of_disks(words):
    with pytest.raises(UsageError, match=words[0]):
        body(*words)
