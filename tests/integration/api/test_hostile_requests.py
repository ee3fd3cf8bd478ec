"""No request, however odd, ends in status 500 with Python's words, or takes the daemon along.

A sample of a large grid: every route with every odd text as a name and as each parameter, and every
field of the API's objects with every odd value.  The sample is the same in each run.
"""

import json
import random
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from labkit.daemon.routes import ROUTES
from tests.lab import Lab, UnixConnection

pytestmark = pytest.mark.root

PYTHONS_WORDS = re.compile(
    r"Errno|Traceback|Error:|object has no|NoneType|codec can't|must be str|surrogates|labkitd:"
)
TEXTS = (
    *("\0", "%", "-1", "0", "1e400", "nan", "inf", "9" * 5000, "-" + "9" * 30, "٣", "1_0", "+5"),
    *("0001-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "../../etc", "/" * 2000),
    *("a" * 4000, "{}", "[]", "null", '{"a":' * 700 + "1" + "}" * 700, "[" * 700 + "]" * 700),
    *('{"label":["\\u0000"]}', '{"name":["(a+)+$"]}', '{"exited":["' + "9" * 5000 + '"]}'),
    *('{"until":["1e999"]}', "a:b:c", "@", "sha256:", "http://[", "://", "a b", "-o", "*" * 3000),
)
PARAMETERS = (
    *("all", "author", "buildargs", "cachefrom", "changes", "comment", "cpuperiod", "details"),
    *("detachKeys", "digests", "dockerfile", "extrahosts", "filters", "force", "h", "labels"),
    *("limit", "memory", "message", "name", "names", "networkmode", "noOverwriteDirNonDir"),
    *(
        "noprune",
        "path",
        "pause",
        "platform",
        "ps_args",
        "q",
        "remote",
        "repo",
        "shmsize",
        "signal",
    ),
    *("since", "size", "t", "tag", "tail", "target", "timestamps", "type", "ulimits", "until"),
    "w",
)
VALUES: tuple[object, ...] = (
    *(None, 0, -1, 2**31, 2**63 - 1, 2**63, 10**30, 1.5, True, "", "a", "\0", "x" * 5000, "é💥"),
    *("/", "../..", "/a:/b", "=", "9" * 5000, "4294967295:4294967295", "80/xyz", "1-99999", ":"),
    *("container:x", "container:", "host", "none", "seccomp={", "root:nosuch", [], [""], ["\0"]),
    *([None], [["a"]], [{}], {}, {"": ""}, {"a": None}, {"a": {}}, {"80/tcp": None}),
    *({"80/tcp": [{"HostPort": "9" * 5000, "HostIp": "::"}]}, {"Test": []}, {"Test": ["X"]}),
    *([{"Name": "nofile", "Soft": 5, "Hard": 1}], [{"Path": "/dev/null", "Rate": -1}]),
    *([{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1, "Mode": 10**9}}],),
    *({"Config": [{"Subnet": "::/0"}]}, {"Config": [{"Subnet": "10.0.0.0/33"}]}, {"Config": [{}]}),
    *(["seccomp={" + '"a":' * 500 + "1" + "}" * 500], {"Type": "json-file", "Config": {"a": "x"}}),
)
CREATE = (
    *("Hostname", "User", "ExposedPorts", "Env", "Cmd", "Healthcheck", "Volumes", "WorkingDir"),
    *("Entrypoint", "Labels", "StopSignal", "StopTimeout", "Shell", "MacAddress", "Domainname"),
)
HOST = (
    *(
        "Binds",
        "LogConfig",
        "NetworkMode",
        "PortBindings",
        "RestartPolicy",
        "VolumesFrom",
        "CapAdd",
    ),
    *("Dns", "ExtraHosts", "GroupAdd", "IpcMode", "Links", "OomScoreAdj", "PidMode"),
    *(
        "SecurityOpt",
        "Tmpfs",
        "UTSMode",
        "UsernsMode",
        "ShmSize",
        "Sysctls",
        "CpuShares",
        "Memory",
        "NanoCpus",
    ),
    *("BlkioWeight", "CpuPeriod", "CpuQuota", "CpusetCpus", "Devices", "DeviceCgroupRules", "Init"),
    *("MemorySwap", "MemorySwappiness", "PidsLimit", "Ulimits", "Mounts", "MaskedPaths", "Runtime"),
)
OBJECTS = {
    "/containers/busy/exec": ("Cmd", "Env", "User", "WorkingDir", "DetachKeys", "ConsoleSize"),
    "/containers/busy/update": ("Memory", "CpuQuota", "PidsLimit", "CpusetCpus", "RestartPolicy"),
    "/networks/create": ("Name", "Driver", "IPAM", "Options", "Labels", "Internal", "EnableIPv6"),
    "/volumes/create": ("Name", "Driver", "DriverOpts", "Labels"),
    "/networks/bridge/connect": ("Container", "EndpointConfig"),
    "/commit?container=busy": ("Labels", "Env", "Cmd"),
}
NOT_ASKED = ("/events", "/images/search", "/auth", "/distribution/", "/push", "/wait", "/stats")
"""Streams without end, and what asks a registry."""

ENDING = ("/stop", "/restart", "/kill", "/attach")
"""What would end the container that the others are about, or this connection."""

Asked = tuple[str, str, object]


def requests() -> Iterator[Asked]:
    """Method, target and body of each request of the grid that changes nothing for the others."""
    for route in ROUTES:
        if any(word in route.path for word in NOT_ASKED) or "prune" in route.path:
            continue
        named = [quote(text, safe="") for text in TEXTS]
        for name in named if "{" in route.path else ():
            yield route.method, re.sub(r"\{\w+\}", lambda _, name=name: name, route.path), None
        if route.method == "DELETE" or route.path.endswith(
            ("/stop", "/restart", "/kill", "/attach")
        ):
            continue
        base = route.path.replace("{id}", "busy").replace("{image}", "busybox")
        more = "stdout=1&" if base.endswith("/logs") else "fromSrc=-&" if "/create" in base else ""
        for parameter in PARAMETERS:
            yield from ((route.method, f"{base}?{more}{parameter}={text}", None) for text in named)


def bodies() -> Iterator[Asked]:
    """The same for the objects of the API, a field each."""
    for value in VALUES:
        for field in CREATE:
            yield "POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], field: value}
        for field in HOST:
            host = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {field: value}}
            yield "POST", "/containers/create", host
        for target, fields in OBJECTS.items():
            for field in fields:
                yield "POST", target, {"Name": "odd", "Cmd": ["true"], field: value}


def ask(lab: Lab, method: str, target: str, body: object) -> tuple[int, str]:
    connection = UnixConnection(lab.socket, 30)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, target, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(1 << 16).decode(errors="replace")
    finally:
        connection.close()


def is_bad(status: int, text: str) -> bool:
    told, _, _ = text.partition('"labkit":')  # what follows are the steps, with their errno
    return status >= 400 and (
        (status >= 500 and status not in (501, 503)) or bool(PYTHONS_WORDS.search(told))
    )


@pytest.mark.parametrize(("grid", "number"), [(requests, 1200), (bodies, 700)])
def test_an_odd_request_is_answered_in_words(make_lab, grid, number) -> None:
    lab = make_lab()
    lab.cli(
        "run", "-d", "--name", "busy", "--network", "none", "busybox", "sleep", "600", check=True
    )
    bad = []
    for method, target, body in random.Random(20).sample(list(grid()), number):
        status, text = ask(lab, method, target, body)
        if is_bad(status, text):
            bad.append(f"{method} {target[:100]} {str(body)[:100]}: {status} {text[:200]}")
        if status == 201 and target == "/containers/create":
            made = json.loads(text)["Id"]
            status, text = ask(lab, "POST", f"/containers/{made}/start", None)
            if status >= 400 and PYTHONS_WORDS.search(text.partition('"labkit":')[0]):
                bad.append(f"start of {str(body)[:100]}: {status} {text[:200]}")
            ask(lab, "DELETE", f"/containers/{made}?force=1&v=1", None)
    assert not bad, "\n".join(bad)
    assert lab.answers()
