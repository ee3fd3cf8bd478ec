"""What a page has made goes, on a real engine: containers and images by name, servers by themselves."""

import gc
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.client import Client
from labkit.course.dockerfile.build_graph import build
from labkit.course.images.hub import Hub
from labkit.course.page.leftovers import clear
from tests.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("client")]


def test_containers_volumes_images_and_those_that_lost_their_name(
    client: Client, tmp_path: Path
) -> None:
    named = [image for image in client.images.list() if image.tags]
    volumes = client.volumes.list()
    for word in ("one", "two"):
        (tmp_path / "Dockerfile").write_text(f"FROM busybox\nVOLUME /kept\nLABEL word={word}\n")
        assert not build(str(tmp_path), tag="page").error
    client.containers.run("page", ["sleep", "1000"], detach=True)
    client.containers.run("page", ["true"], detach=True).wait()
    client.containers.run("busybox", ["sleep", "1000"], name="named", detach=True)
    others = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    clear(containers=["named", "never-there"], images=["page", "never-there"])
    assert [one.id for one in client.containers.list(all=True)] == [others.id]
    assert client.images.list() == named
    assert client.volumes.list() == volumes
    others.remove(force=True)


def test_a_registry_that_nobody_has_any_more_is_ended() -> None:
    hub = Hub()
    address, root = f"http://{hub.address}/v2/", Path(hub.root)
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200
    del hub
    gc.collect()
    with pytest.raises(OSError):
        urllib.request.urlopen(address)
    assert not root.parent.exists()
