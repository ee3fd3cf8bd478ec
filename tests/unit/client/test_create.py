"""docker-py's words become the API's."""

import pytest

from labkit.client.create import create_body
from labkit.errors import InvalidParameterError


def host(**options: object) -> dict[str, object]:
    return create_body("busybox", **options)["HostConfig"]


@pytest.mark.parametrize(
    ("option", "value", "field", "expected"),
    [
        ("cpu_shares", 512, "CpuShares", 512),
        ("nano_cpus", 1_500_000_000, "NanoCpus", 1_500_000_000),
        ("cpuset_cpus", "0-1", "CpusetCpus", "0-1"),
        ("mem_limit", "200m", "Memory", 200 << 20),
        ("mem_limit", 7_000_000, "Memory", 7_000_000),
        ("memswap_limit", "300m", "MemorySwap", 300 << 20),
        ("memswap_limit", -1, "MemorySwap", -1),
        ("pids_limit", 50, "PidsLimit", 50),
        ("network_mode", "none", "NetworkMode", "none"),
        ("read_only", True, "ReadonlyRootfs", True),
        ("init", True, "Init", True),
        ("auto_remove", True, "AutoRemove", True),
    ],
)
def test_host_config(option: str, value: object, field: str, expected: object) -> None:
    assert host(**{option: value})[field] == expected


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"command": "sh -c 'echo hi'"}, "Cmd", ["sh", "-c", "echo hi"]),
        ({"command": ["echo", "a b"]}, "Cmd", ["echo", "a b"]),
        ({"command": None}, "Cmd", None),
        ({"entrypoint": ""}, "Entrypoint", []),
        ({"environment": {"A": "1", "B": None}}, "Env", ["A=1", "B"]),
        ({"environment": ["A=1"]}, "Env", ["A=1"]),
        ({"labels": {"a": "b"}}, "Labels", {"a": "b"}),
        ({"labels": ["a=b", "c"]}, "Labels", {"a": "b", "c": ""}),
        ({"user": "1000:1000"}, "User", "1000:1000"),
        ({"working_dir": "/tmp"}, "WorkingDir", "/tmp"),
        ({"hostname": "web"}, "Hostname", "web"),
    ],
)
def test_config(options: dict[str, object], field: str, expected: object) -> None:
    assert create_body("busybox", **options)[field] == expected


def test_what_is_left_out_is_labkits_own_field() -> None:
    assert create_body("busybox", without=["pivot_root"])["Labkit"] == {"Without": ["pivot_root"]}
    assert "Labkit" not in create_body("busybox")


def test_a_bad_size_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidParameterError, match="invalid size: '1x'"):
        create_body("busybox", mem_limit="1x")
