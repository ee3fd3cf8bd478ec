"""Fields and status codes as dockerd 26.1 has them: what was given, what was not, what is wrong."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.lab import Lab, UnixConnection

pytestmark = pytest.mark.root


@pytest.fixture
def shown(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()
    lab.api("POST", "/networks/prune")


def inspected(lab: Lab, host: dict[str, object], **config: object) -> dict[str, object]:
    body = {"Image": "busybox", "Cmd": ["true"], **config, "HostConfig": host}
    status, made = lab.api("POST", "/containers/create", body)
    assert status == 201, made
    return lab.api("GET", f"/containers/{made['Id']}/json")[1]


def test_false_and_zero_are_shown_if_they_were_given(shown):
    host = {"NetworkMode": "none", "Init": False, "RestartPolicy": {"Name": ""}}
    given = inspected(shown, host, StopTimeout=0, Entrypoint=[""])
    assert given["HostConfig"]["Init"] is False
    assert given["Config"]["StopTimeout"] == 0
    assert given["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert (given["Config"]["Entrypoint"], given["Path"]) == (None, "true")
    silent = inspected(shown, {"NetworkMode": "none"})
    assert "Init" not in silent["HostConfig"]
    assert "StopTimeout" not in silent["Config"]


def test_a_mount_is_shown_as_it_was_asked_for(shown):
    mount = {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 65536}}
    found = inspected(shown, {"NetworkMode": "none", "Mounts": [mount]})
    assert found["HostConfig"]["Mounts"] == [mount]


def test_the_hardware_address_of_the_first_network(shown):
    mac = "02:42:ac:11:00:09"
    host = {"NetworkMode": "bridge"}
    networking = {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}
    assert inspected(shown, host, NetworkingConfig=networking)["Config"]["MacAddress"] == mac


def test_settings_of_a_network_before_the_start(shown):
    """A container that does not run can be connected again, with other settings."""
    lab = shown
    ipam = {"Config": [{"Subnet": "10.199.0.0/24"}]}
    lab.api("POST", "/networks/create", {"Name": "shown", "IPAM": ipam})
    container = inspected(lab, {"NetworkMode": "bridge"})["Id"]

    def connect(address: str) -> tuple[int, object]:
        endpoint = {"IPAMConfig": {"IPv4Address": address}}
        body = {"Container": container, "EndpointConfig": endpoint}
        return lab.api("POST", "/networks/shown/connect", body)

    status, answer = connect("10.98.0.9")
    assert (status, answer["message"]) == (
        400,
        "no configured subnet or ip-range contain the IP address 10.98.0.9",
    )
    assert [connect(f"10.199.0.{number}")[0] for number in (8, 9)] == [200, 200]
    assert lab.api("POST", f"/containers/{container}/start")[0] == 204
    lab.api("POST", f"/containers/{container}/wait")
    networks = lab.api("GET", f"/containers/{container}/json")[1]["NetworkSettings"]["Networks"]
    assert networks["shown"]["IPAMConfig"] == {"IPv4Address": "10.199.0.9"}
    assert networks["shown"]["NetworkID"] == lab.api("GET", "/networks/shown")[1]["Id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", '/images/json?filters={"reference":["["]}', None, 400, "syntax error in pattern"),
        ("GET", '/networks?filters={"type":["x"]}', None, 400, "invalid filter: 'type'='x'"),
        ("GET", "/system/df?type=x", None, 400, "unknown object type: x"),
        ("GET", '/images/search?term=x&filters={"stars":["x"]}', None, 400, "stars=x"),
        ("POST", "/build/prune?filters=x", None, 400, "filters"),
        ("POST", "/networks/create", {"Name": "x1", "Driver": "host"}, 403, "only one instance"),
        ("POST", "/networks/create", {"Name": "x1", "Driver": "x"}, 404, 'plugin "x" not found'),
        ("POST", "/volumes/create", {"Name": "x1", "ClusterVolumeSpec": {}}, 503, "swarm"),
        ("POST", "/images/create?fromSrc=-&platform=windows", None, 400, "not supported"),
        ("POST", "/images/create?fromSrc=-&platform=foo", None, 400, "unknown operating system"),
    ],
)
def test_what_is_refused_and_how(shown, method, path, body, status, words):
    name, equals, value = path.partition("filters=")
    found, answer = shown.api(method, name + equals + quote(value), body)
    assert (found, words in answer["message"]) == (status, True), answer


@pytest.mark.parametrize("filters", ["null", '{"status":null}', '{"isolation":["default"]}'])
def test_filters_that_say_nothing(shown, filters):
    status, found = shown.api("GET", f"/containers/json?all=1&filters={quote(filters)}")
    assert (status, type(found)) == (200, list)


def test_options_for_other_programs_are_kept(shown):
    lab = shown
    body = {"Name": "kept", "Options": {"org.example.owner": "me"}}
    assert lab.api("POST", "/networks/create", body)[0] == 201
    assert lab.api("GET", "/networks/kept")[1]["Options"]["org.example.owner"] == "me"


def test_an_import_for_another_processor(shown):
    lab = shown
    connection = UnixConnection(lab.socket, 30)
    connection.request(
        "POST", "/images/create?fromSrc=-&repo=far&platform=linux/arm64", bytes(10240)
    )
    image_id = json.loads(connection.getresponse().read())["status"]
    connection.close()
    found = lab.api("GET", "/images/far/json")[1]
    assert (found["Id"], found["Architecture"], found["Os"]) == (image_id, "arm64", "linux")
    lab.api("DELETE", "/images/far")
