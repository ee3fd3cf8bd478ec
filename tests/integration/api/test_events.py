"""Events as dockerd tells them: which there are, in which order, and what they say."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root

HEALTHY_S = 3.0


@pytest.fixture
def events(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()
    lab.cli("volume", "prune", "-a", "-f", check=True)


def told(lab: Lab, since: float, **asked: str) -> list[dict[str, object]]:
    """The events since a moment."""
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    path = f"/events?since={since:.6f}&until={time.time():.6f}&{query}"
    status, answer = lab.api("GET", path)
    if isinstance(answer, dict):
        return [answer]
    assert status == 200, answer
    return [json.loads(line) for line in str(answer).splitlines()]


def short(found: list[dict[str, object]]) -> list[str]:
    return [f"{event['Type']} {event['Action']}" for event in found]


def test_the_life_of_a_container(events):
    lab = events
    since = time.time()
    lab.cli("run", "--name", "told", "--network", "none", "-v", "kept:/v", "busybox", "true",
            check=True)  # fmt: skip
    found = told(lab, since)
    assert short(found) == [
        *("volume create", "container create", "container attach", "network connect"),
        *("volume mount", "container start", "network disconnect", "volume unmount"),
        "container die",
    ]
    container = lab.api("GET", "/containers/told/json")[1]["Id"]
    said = {f"{event['Type']} {event['Action']}": event["Actor"]["Attributes"] for event in found}
    assert said["volume mount"] == {
        "container": container, "destination": "/v", "driver": "local", "propagation": "",
        "read/write": "true",
    }  # fmt: skip
    assert said["network connect"] == {"container": container, "name": "none", "type": "null"}
    assert said["container die"]["execDuration"] == "0"
    lab.cli("rm", "-v", "told", check=True)


def test_what_looks_into_a_container_is_told(events):
    lab = events
    body = {"Image": "busybox", "Cmd": ["sleep", "60"], "HostConfig": {"NetworkMode": "none"}}
    lab.api("POST", "/containers/create?name=seen", body)
    lab.cli("start", "seen", check=True)
    since = time.time()
    lab.cli("top", "seen", check=True)
    lab.cli("cp", "seen:/etc/passwd", "-", check=True, text=False)
    lab.cli("cp", "/etc/hostname", "seen:/tmp", check=True)
    lab.cli("export", "seen", check=True, text=False)
    found = short(told(lab, since))
    assert [
        f"container {word}" for word in ("top", "archive-path", "extract-to-dir", "export")
    ] == (list(dict.fromkeys(found)))


def test_events_of_images_have_their_labels_and_names_as_users_write_them(events):
    lab = events
    since = time.time()
    lab.cli("tag", "busybox", "other", check=True)
    lab.cli("rmi", "other", check=True)
    tagged, untagged = told(lab, since)
    assert tagged["Actor"]["Attributes"]["name"] == "other:latest"
    assert "labkit.base" in tagged["Actor"]["Attributes"]
    assert untagged["Actor"]["Attributes"]["name"] == untagged["Actor"]["ID"]


def test_a_build_tells_the_names_it_gives(events, tmp_path):
    lab = events
    (tmp_path / "Dockerfile").write_text("FROM busybox\nLABEL who=me\n")
    since = time.time()
    lab.cli("build", "-q", "-t", "named", str(tmp_path), check=True)
    (tagged,) = [event for event in told(lab, since) if event["Action"] == "tag"]
    shown = tagged["Actor"]["Attributes"]
    assert (shown["name"], shown["who"]) == ("named:latest", "me")
    lab.cli("rmi", "named", check=True)


def test_a_prune_is_told(events):
    lab = events
    since = time.time()
    for kind in ("containers", "images", "volumes", "networks", "build"):
        lab.api("POST", f"/{kind}/prune")
    assert short(told(lab, since)) == [
        f"{kind} prune" for kind in ("container", "image", "volume", "network", "builder")
    ]


def test_bounds_in_time(events):
    lab = events
    lab.api("POST", "/networks/prune")
    status, everything = lab.api("GET", "/events?since=0&until=" + str(time.time()))
    assert (status, "prune" in str(everything)) == (200, True)
    assert lab.api("GET", f"/events?until={time.time()}")[1] == everything
    status, answer = lab.api("GET", "/events?since=20&until=10")
    assert (status, "cannot be after `until` time" in answer["message"]) == (400, True)


def test_a_health_check_begins_as_soon_as_its_interval_says(events):
    lab = events
    check = ("--health-cmd", "true", "--health-interval", "300ms", "--health-start-period", "60s")
    began = time.monotonic()
    lab.cli("run", "-d", "--name", "well", "--network", "none", *check, "busybox", "sleep", "60",
            check=True)  # fmt: skip
    while lab.api("GET", "/containers/well/json")[1]["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() - began < HEALTHY_S
        time.sleep(0.05)
