"""Volumes and files through the API of a real daemon, driven by Docker's own Python client."""

import base64
import io
import json
import tarfile
import time
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import Mount

from tests import leaks
from tests.api import Raw, create_body
from tests.api import run as start

pytestmark = pytest.mark.root


@pytest.fixture
def client(lab):
    made = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto")
    yield made
    for container in made.containers.list(all=True):
        container.remove(force=True, v=True)
    for volume in made.volumes.list():
        volume.remove()
    made.close()


def run(client, script, **options):
    return client.containers.run(
        "busybox", ["sh", "-c", script], network_mode="none", remove=True, **options
    )


def tar_of(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class TestVolumes:
    def test_their_life(self, client):
        volume = client.volumes.create("data", labels={"a": "b"})
        shown = volume.attrs
        assert (shown["Name"], shown["Driver"], shown["Scope"]) == ("data", "local", "local")
        assert shown["Labels"] == {"a": "b"}
        assert shown["Mountpoint"].endswith("/volumes/data/_data")
        time.strptime(shown["CreatedAt"], "%Y-%m-%dT%H:%M:%SZ")
        run(client, "echo kept > /data/f", volumes={"data": {"bind": "/data", "mode": "rw"}})
        assert run(client, "cat /x/f", volumes=["data:/x:ro"]) == b"kept\n"
        assert client.volumes.get("data").attrs == shown
        volume.remove()
        with pytest.raises(NotFound, match="no such volume"):
            client.volumes.get("data")

    def test_lists_and_filters(self, client):
        client.volumes.create("used", labels={"a": "1"})
        client.volumes.create("free", labels={"a": "2"})
        client.containers.create("busybox", "true", volumes=["used:/u"], network_mode="none")

        def names(**filters):
            return [volume.name for volume in client.volumes.list(filters=filters)]

        assert names() == ["free", "used"]
        assert names(dangling=True) == ["free"]
        assert names(name="us") == ["used"]
        assert names(label="a=2") == ["free"]
        with pytest.raises(APIError, match="invalid filter"):
            names(nosuch="x")

    def test_prune(self, lab, client):
        client.volumes.create("named")
        anonymous = client.volumes.create()
        report = client.volumes.prune()
        assert report["VolumesDeleted"] == [anonymous.name]
        status, answer = lab.api("POST", '/v1.41/volumes/prune?filters={"label!":["x"]}')
        assert (status, answer["VolumesDeleted"]) == (200, ["named"])
        assert lab.api("POST", "/volumes/prune")[1] == {"VolumesDeleted": [], "SpaceReclaimed": 0}

    def test_errors(self, lab, client):
        client.containers.create(
            "busybox", "true", name="user", volumes=["data:/d"], network_mode="none"
        )
        container_id = client.containers.get("user").id
        assert lab.api("DELETE", "/volumes/data") == (
            409,
            {"message": f"remove data: volume is in use - [{container_id}]"},
        )
        assert lab.api("DELETE", "/volumes/nosuch")[0] == 404
        assert lab.api("DELETE", "/volumes/nosuch?force=1")[0] == 204
        for body in ({"Name": "../x"}, {"Name": 1}, {"DriverOpts": {"o": "x"}}):
            assert lab.api("POST", "/volumes/create", body)[0] == 400, body
        assert lab.api("POST", "/volumes/create", {"Driver": "nfs"})[0] == 404
        for host in (
            {"Binds": ["/tmp:/proc"]},
            {"Binds": ["a:/b:c:d"]},
            {"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]},
            {"Tmpfs": {"/x": "evil=1"}},
            {"Binds": "no list"},
        ):
            assert lab.api("POST", "/containers/create", create_body("true", **host))[0] == 400

    def test_what_inspect_and_the_list_show(self, lab, client):
        container = client.containers.create(
            "busybox",
            "true",
            network_mode="none",
            volumes=["data:/d:ro", "/anon"],
            tmpfs={"/t": "size=1m"},
            mounts=[
                Mount("/m", "/usr", type="bind", read_only=True),
                Mount("/tt", None, type="tmpfs"),
            ],
        )
        mounts = {mount["Destination"]: mount for mount in container.attrs["Mounts"]}
        assert set(mounts) == {"/d", "/anon", "/m", "/tt"}
        assert mounts["/d"] | {"Source": ""} == {
            "Type": "volume",
            "Name": "data",
            "Source": "",
            "Destination": "/d",
            "Driver": "local",
            "Mode": "ro",
            "RW": False,
            "Propagation": "",
        }
        assert mounts["/m"] == {
            "Type": "bind",
            "Source": "/usr",
            "Destination": "/m",
            "Mode": "",
            "RW": False,
            "Propagation": "rprivate",
        }
        assert container.attrs["HostConfig"]["Binds"] == ["data:/d:ro", "/anon"]
        assert container.attrs["HostConfig"]["Tmpfs"] == {"/t": "size=1m"}
        _, listed = lab.api("GET", "/containers/json?all=1")
        assert listed[0]["Mounts"] == container.attrs["Mounts"]
        container.remove(v=True)
        assert [volume.name for volume in client.volumes.list()] == ["data"]


class TestFiles:
    def test_cp_both_ways(self, client):
        container = client.containers.run(
            "busybox", ["sleep", "1000"], network_mode="none", detach=True
        )
        assert container.put_archive("/etc", tar_of("mine", b"in"))
        chunks, found = container.get_archive("/etc/mine")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            assert tar.extractfile("mine").read() == b"in"
        assert (found["name"], found["size"], found["linkTarget"]) == ("mine", 2, "")
        assert found["mode"] == 0o644
        _, found = container.get_archive("/tmp")
        assert found["mode"] & 1 << 31
        assert {"Path": "/etc/mine", "Kind": 1} in container.diff()
        with pytest.raises(NotFound, match="Could not find the file /nosuch in container"):
            container.get_archive("/nosuch")
        with pytest.raises(APIError, match=r"archive"):
            container.put_archive("/etc", b"this is no archive" * 100)
        exported = io.BytesIO(b"".join(container.export()))
        with tarfile.open(fileobj=exported) as tar:
            assert "etc/mine" in tar.getnames()

    def test_head_and_errors(self, lab):
        _, made = lab.api("POST", "/containers/create?name=cc", create_body("true"))
        assert lab.api("HEAD", "/containers/cc/archive?path=/bin")[0] == 200
        assert lab.api("HEAD", "/containers/cc/archive?path=/nosuch")[0] == 404
        for method in ("GET", "PUT"):
            assert lab.api(method, "/containers/cc/archive")[0] == 400
            assert lab.api(method, "/containers/nosuch/archive?path=/")[0] == 404
        assert lab.api("GET", "/containers/nosuch/export")[0] == 404
        assert lab.api("GET", "/containers/nosuch/changes")[0] == 404
        assert lab.api("GET", "/containers/cc/changes") == (200, None)
        assert made["Id"]

    def test_the_header_is_base64_of_json(self, client):
        container = client.containers.create("busybox", "true", network_mode="none")
        url = client.api._url("/containers/{0}/archive", container.id)
        response = client.api.head(url, params={"path": "/bin/sh"})
        found = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
        assert found["linkTarget"].startswith("/bin/") or found["size"] > 0
        assert set(found) == {"name", "size", "mode", "mtime", "linkTarget"}


class TestWhoGoesAwayInTheMiddle:
    def workers(self):
        mark = f"{leaks.MARKER}={leaks.RUN_NAME}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text() == "labkit-files\n":
                    found.extend(
                        [process.name] if mark in (process / "environ").read_bytes() else []
                    )
            except OSError:
                continue
        return found

    def wait_for(self, condition):
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_a_reader(self, lab):
        start(lab, "sleep", "1000", name="reader")
        with Raw(lab, b"GET /containers/reader/export HTTP/1.1\r\n\r\n") as client:
            assert b" 200 OK" in client.head()
        self.wait_for(lambda: not self.workers())

    def test_a_sender(self, lab):
        start(lab, "sleep", "1000", name="sender")
        head = b"PUT /containers/sender/archive?path=/ HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
        with Raw(lab, head + tar_of("f", b"x")[:20]):
            self.wait_for(self.workers)
        self.wait_for(lambda: not self.workers())
        assert lab.api("HEAD", "/containers/sender/archive?path=/f")[0] == 404

    def test_the_daemon(self, make_lab):
        own = make_lab()
        start(own, "sleep", "1000", name="sender")
        head = b"PUT /containers/sender/archive?path=/ HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
        with Raw(own, head + tar_of("f", b"x")[:20]):
            self.wait_for(self.workers)
            own.kill_daemon()
            self.wait_for(lambda: not self.workers())


class TestContainersPrune:
    def test_those_that_do_not_run(self, lab, client):
        run_on = client.containers.run(
            "busybox", ["sleep", "1000"], network_mode="none", detach=True
        )
        new = client.containers.create("busybox", "true", network_mode="none", labels={"keep": ""})
        old = client.containers.create("busybox", "true", network_mode="none")
        assert client.containers.prune({"until": "10m"})["ContainersDeleted"] is None
        assert client.containers.prune({"label!": "keep"})["ContainersDeleted"] == [old.id]
        report = client.containers.prune({"until": "0s"})
        assert report["ContainersDeleted"] == [new.id]
        assert [container.id for container in client.containers.list(all=True)] == [run_on.id]
        for bad in ('{"until":["soon"]}', '{"nosuch":["x"]}'):
            assert lab.api("POST", f"/containers/prune?filters={bad}")[0] == 400
