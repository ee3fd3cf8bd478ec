"""Small ways of dockerd's that programs count on."""

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root

SOON_S = 10.0


@pytest.fixture
def ways(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()
    lab.api("POST", "/networks/prune")


def create(lab: Lab, name: str = "", **fields: object) -> tuple[int, object]:
    host = {"NetworkMode": "none", **dict(fields.pop("HostConfig", {}))}
    body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": host, **fields}
    return lab.api("POST", f"/containers/create?name={name}", body)


def test_a_restart_keeps_a_container_that_goes_with_its_end(ways):
    lab = ways
    lab.cli("run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "600", check=True)
    lab.cli("restart", "-t", "0", "brief", check=True)
    assert lab.api("GET", "/containers/brief/json")[1]["State"]["Running"]
    lab.cli("stop", "-t", "0", "brief", check=True)
    deadline = time.monotonic() + SOON_S
    while lab.api("GET", "/containers/brief/json")[0] != 404:
        assert time.monotonic() < deadline


def test_a_kill_between_two_restarts_ends_them(ways):
    lab = ways
    lab.cli("run", "-d", "--name", "again", "--restart", "always", "busybox", "false", check=True)
    deadline = time.monotonic() + SOON_S
    while True:
        state = lab.api("GET", "/containers/again/json")[1]
        if state["State"]["Status"] == "restarting" and state["RestartCount"] > 2:
            break
        assert time.monotonic() < deadline
    assert lab.api("POST", "/containers/again/kill")[0] == 204
    count = lab.api("GET", "/containers/again/json")[1]["RestartCount"]
    time.sleep(1)
    after = lab.api("GET", "/containers/again/json")[1]
    assert (after["State"]["Status"], after["RestartCount"]) == ("exited", count)


@pytest.mark.parametrize("user", ["-5", "99999999999", "2147483648", "0:-1"])
def test_numbers_that_no_user_has(ways, user):
    done = ways.cli("run", "--rm", "--network", "none", "-u", user, "busybox", "true")
    assert done.returncode == 125 or done.returncode == 126
    assert "uids and gids must be in range 0-2147483647" in done.stderr


def test_a_folder_without_devices_is_no_device(ways, tmp_path):
    device = {"PathOnHost": str(tmp_path), "PathInContainer": "/d", "CgroupPermissions": "rwm"}
    status, answer = create(ways, HostConfig={"Devices": [device]})
    assert (status, "not a device node" in answer["message"]) == (400, True), answer
    os.mknod(tmp_path / "mine", 0o600 | 0o020000, os.makedev(1, 3))
    deep = tmp_path
    for _ in range(60):
        deep = deep / ("x" * 50)
        os.mkdir(deep)
    assert create(ways, HostConfig={"Devices": [device]})[0] == 201


def test_logs_that_are_followed_begin_at_their_time(ways):
    lab = ways
    script = "for i in 1 2 3; do echo $i; sleep 0.5; done"
    lab.cli("run", "-d", "--name", "counting", "busybox", "sh", "-c", script, check=True)
    since = time.time() + 0.7
    _, text = lab.api("GET", f"/containers/counting/logs?follow=1&stdout=1&since={since:.3f}")
    assert "1\n" not in text
    assert "3\n" in text


def test_an_images_name_is_shown_as_long_as_it_means_the_image(ways):
    lab = ways
    lab.cli("tag", "busybox", "moving", check=True)
    create(lab, "standing", Image="moving")
    (shown,) = lab.api("GET", "/containers/json?all=1")[1]
    assert shown["Image"] == "moving"
    lab.cli("commit", "standing", "moving", check=True)
    (shown,) = lab.api("GET", "/containers/json?all=1")[1]
    assert shown["Image"] == shown["ImageID"]
    lab.cli("rm", "standing", check=True)
    lab.cli("rmi", "moving", check=True)


def test_what_a_container_needs_may_be_made_before_its_start(ways):
    lab = ways
    assert create(lab, "early", HostConfig={"NetworkMode": "later"})[0] == 201
    status, answer = lab.api("POST", "/containers/early/start")
    assert (status, answer["message"]) == (404, "network later not found")
    lab.cli("network", "create", "later", check=True)
    assert lab.api("POST", "/containers/early/start")[0] == 204
    assert create(lab, "sharing", HostConfig={"NetworkMode": "container:nobody"})[0] == 201
    status, answer = lab.api("POST", "/containers/sharing/start")
    assert (status, answer["message"]) == (404, "No such container: nobody")
    # One that goes with its end goes with a start that fails, too: its client waits for that.
    done = lab.cli("run", "--rm", "--name", "brief", "--network", "nosuch", "busybox", "true")
    assert (done.returncode, "network nosuch not found" in done.stderr) == (125, True)
    assert lab.api("GET", "/containers/brief/json")[0] == 404


def test_a_networks_name_may_have_spaces(ways):
    lab = ways
    lab.cli("network", "create", "my net", check=True)
    done = lab.cli("run", "--rm", "--network", "my net", "busybox", "ip", "addr")
    assert "eth0" in done.stdout
    lab.cli("network", "rm", "my net", check=True)
    assert lab.api("POST", "/networks/create", {"Name": "  "})[0] == 400


def test_events_pass_over_filters_that_they_do_not_know(ways):
    filters = quote(json.dumps({"nosuch": ["x"], "type": ["volume"]}))
    status, _ = ways.api("GET", f"/events?until={time.time()}&filters={filters}")
    assert status == 200


def test_containers_are_listed_by_the_id_of_a_network(ways):
    lab = ways
    lab.cli("network", "create", "listed", check=True)
    create(lab, "on", HostConfig={"NetworkMode": "listed"})
    network = lab.api("GET", "/networks/listed")[1]["Id"]
    found = lab.cli("ps", "-a", "--filter", f"network={network}", "--format", "{{.Names}}")
    assert found.stdout == "on\n"
    lab.cli("rm", "on", check=True)


def test_a_variable_without_a_value_is_kept_and_not_set(ways):
    asked = ["HOME", "PATH", "GIVEN=1", "GIVEN", "KEPT=2"]
    status, made = create(ways, "bare", Env=asked, Cmd=["sleep", "600"])
    assert status == 201, made
    shown = ways.api("GET", "/containers/bare/json")[1]["Config"]["Env"]
    assert shown == ["HOME", "PATH", "GIVEN", "KEPT=2"]
    ways.cli("start", "bare", check=True)
    with_names = ways.cli("exec", "bare", "/bin/busybox", "env", check=True).stdout.split()
    assert "KEPT=2" in with_names
    assert not [word for word in with_names if word.startswith(("GIVEN", "PATH="))]
    without = ways.cli("exec", "-e", "KEPT", "bare", "/bin/busybox", "env", check=True).stdout
    assert "KEPT" not in without


@pytest.mark.parametrize(("field", "value"), [("Isolation", "default"), ("VolumeDriver", "far")])
def test_words_that_change_nothing_are_shown_as_they_were_asked_for(ways, field, value):
    status, made = create(ways, "said", HostConfig={field: value})
    assert status == 201, made
    shown = ways.api("GET", "/containers/said/json")[1]["HostConfig"]
    assert shown[field] == value


def test_drivers_that_are_not_there(ways):
    words = 'plugin "far" not found'
    status, answer = ways.api("POST", "/volumes/create", {"Name": "data", "Driver": "far"})
    assert status == 404
    assert words in answer["message"]
    # A 404 at a container's creation would say that the image is missing.
    host = {"VolumeDriver": "far", "Binds": ["data:/data"]}
    status, answer = create(ways, HostConfig=host)
    assert status == 400
    assert words in answer["message"]
    assert ways.api("POST", "/volumes/create", {"Name": "data"})[0] == 201
    assert create(ways, HostConfig=host)[0] == 201  # the volume is there already
    status, answer = create(ways, HostConfig={"LogConfig": {"Type": "far"}})
    assert answer["message"] == f"error looking up logging plugin far: {words}"


@pytest.mark.parametrize(
    "path", ["/images/create?fromImage=busybox", "/build?dockerfile=Dockerfile"]
)
def test_a_platform_that_nothing_is_made_for_is_an_answer(ways, path):
    status, answer = ways.api("POST", f"{path}&platform=foo")
    assert status == 400
    assert "unknown operating system or architecture: invalid argument" in answer["message"]


def test_containers_are_found_by_the_image_that_theirs_was_made_from(ways):
    assert create(ways, "base")[0] == 201
    before = time.time()
    status, made = ways.api("POST", "/commit?container=base&repo=derived")
    assert status == 201, made
    tagged = ways.api("GET", "/images/derived/json")[1]["Metadata"]["LastTagTime"]
    assert before - 1 < datetime.fromisoformat(tagged).timestamp() < time.time() + 1
    assert create(ways, "child", Image="derived")[0] == 201
    for ancestor, names in (("busybox", {"/base", "/child"}), ("derived", {"/child"})):
        asked = quote(json.dumps({"ancestor": [ancestor]}))
        found = ways.api("GET", f"/containers/json?all=1&filters={asked}")[1]
        assert {name for each in found for name in each["Names"]} == names
    ways.remove_containers()
    assert ways.api("DELETE", "/images/derived")[0] == 200


def test_what_no_container_can_have(ways):
    status, answer = create(ways, Env=["=x"])
    assert (status, answer["message"]) == (400, "invalid environment variable: =x")
    assert ways.api("POST", "/networks/create", {"Name": "four"})[0] == 201
    six = {"four": {"IPAMConfig": {"IPv6Address": "fd00::5"}}}
    asked = {"EndpointsConfig": six}
    status, answer = create(ways, HostConfig={"NetworkMode": "four"}, NetworkingConfig=asked)
    assert status == 400
    assert "networks with user configured subnets" in answer["message"]
