"""Docker's create body: what real clients send is taken, what labkit lacks is named."""

import pytest

from labkit.daemon import create_body
from labkit.daemon.errors import UnsupportedError
from labkit.errors import InvalidParameterError

CLI_28 = {  # what Docker's command sends for `docker run --rm busybox echo hi`
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": True,
    "AttachStderr": True,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": ["echo", "hi"],
    "Image": "busybox",
    "Volumes": {},
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
    "HostConfig": {
        "Binds": None,
        "ContainerIDFile": "/tmp/cid",
        "LogConfig": {"Type": "", "Config": {}},
        "NetworkMode": "default",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": True,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [24, 80],
        "CapAdd": None,
        "CapDrop": None,
        "CgroupnsMode": "",
        "Dns": [],
        "IpcMode": "",
        "OomScoreAdj": 0,
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        "ShmSize": 0,
        "CpuShares": 512,
        "Memory": 0,
        "NanoCpus": 0,
        "BlkioWeightDevice": [],
        "MemorySwappiness": -1,
        "OomKillDisable": False,
        "PidsLimit": 0,
        "IOMaximumIOps": 0,
        "MaskedPaths": None,
        "ReadonlyPaths": None,
    },
    "NetworkingConfig": {
        "EndpointsConfig": {"default": {"IPAMConfig": None, "MacAddress": "", "GwPriority": 0}}
    },
}
DOCKER_PY = {
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "AttachStdin": False,
    "AttachStdout": True,
    "AttachStderr": True,
    "Cmd": ["echo", "hi"],
    "Image": "busybox",
    "NetworkDisabled": False,
    "HostConfig": {"NetworkMode": "none", "CpuShares": 512, "AutoRemove": True},
}


@pytest.mark.parametrize("body", [CLI_28, DOCKER_PY])
def test_what_clients_send_is_taken(body):
    decoded = create_body.decode(body)
    assert decoded.config.image == "busybox"
    assert decoded.config.cmd == ["echo", "hi"]
    assert decoded.host_config.cpu_shares == 512
    assert decoded.host_config.auto_remove
    assert decoded.without == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("CpuRealtimePeriod", 1000),
        ("CpuRealtimeRuntime", 500),
    ],
)
def test_what_labkit_does_not_do_is_refused_by_name(field, value):
    with pytest.raises(UnsupportedError, match=rf"HostConfig\.{field}\b"):
        create_body.decode({"Image": "busybox", "HostConfig": {field: value}})


def test_a_refusal_says_why_where_there_is_a_reason():
    with pytest.raises(UnsupportedError, match="only for overlay over xfs"):
        create_body.decode({"Image": "busybox", "HostConfig": {"StorageOpt": {"size": "1G"}}})


@pytest.mark.parametrize("field", ["OnBuild", "Shell"])
def test_words_for_builders_are_taken(field):
    create_body.decode({"Image": "busybox", field: ["/bin/sh", "-c"]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("RestartPolicy", {"Name": "", "MaximumRetryCount": 0}),
        ("LogConfig", {"Type": "json-file", "Config": None}),
        ("ShmSize", 67108864),
        ("IpcMode", "private"),
        ("MemorySwappiness", None),
        ("Binds", []),
    ],
)
def test_neutral_values_are_taken(field, value):
    create_body.decode({"Image": "busybox", "HostConfig": {field: value}})


def test_what_is_asked_of_a_network_is_read():
    wanted = {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.1.0.5"}, "Links": None}
    body = {
        "Image": "busybox",
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"mine": wanted, "other": None}},
    }
    read = create_body.decode(body)
    assert read.endpoints.keys() == {"mine"}
    assert read.endpoints["mine"].aliases == ["web"]
    assert read.endpoints["mine"].ipam_config.ipv4_address == "10.1.0.5"
    assert read.host_config.port_bindings["80/tcp"][0].host_port == "8080"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Image": 7}, r"Image: Expected `str`, got `int`"),
        ({"Cmd": [1]}, r"Cmd\[0\]: Expected `str`"),
        ({"Env": "A=b"}, r"Env: Expected `array"),
        ({"HostConfig": []}, r"HostConfig must be a JSON object"),
        ({"HostConfig": {"Memory": "1g"}}, r"HostConfig\.Memory: Expected `int`"),
        ({"HostConfig": {"Memory": 1 << 80}}, r"HostConfig\.Memory"),
        ({"NetworkingConfig": 1}, r"NetworkingConfig must be"),
        ({"Labkit": {"Without": "x"}}, r"Labkit\.Without"),
        ({"Labkit": {"Wihtout": ["x"]}}, r"Wihtout"),
        ({}, r"Config cannot be empty"),
    ],
)
def test_wrong_types_name_the_field(body, words):
    with pytest.raises(InvalidParameterError, match=words):
        create_body.decode({"Image": "busybox"} | body if body else {})


def test_null_means_not_given():
    decoded = create_body.decode({"Image": "busybox", "Hostname": None, "Labels": None})
    assert decoded.config.hostname == ""
