"""The switches of the namespace demo on a real engine: what is shared, said, refused and left."""

from typing import Any

import pytest

from labkit.client import Client
from labkit.course.demos.namespaces import HOST, ONE, OWN, NamespacesDemo
from labkit.course.namespaces.namespace_map import KINDS

from labkit.errors import LabkitError

pytestmark = pytest.mark.root


def shared(demo: NamespacesDemo, whose: str) -> set[str]:
    found = demo.map()
    return {kind for kind in KINDS if whose in found.shared_with("two", kind)}


def left(client: Client) -> list[Any]:
    return client.containers.list(all=True)


def test_each_switch_and_what_two_says(client: Client) -> None:
    demo = NamespacesDemo()
    assert shared(demo, "one") == {"user", "time"}
    alone = demo.facts()
    assert (alone["interfaces"], alone["memory of one"]) == ("1", "no such key")
    for kind in ("pid", "ipc", "net"):
        demo.use(kind, ONE)
    for kind in ("uts", "cgroup"):
        demo.use(kind, HOST)
    assert shared(demo, "one") == {"pid", "ipc", "net", "user", "time"}
    assert shared(demo, "the host") == {"uts", "cgroup", "user", "time"}
    together = demo.facts()
    assert (together["interfaces"], together["memory of one"]) == ("2", "found")
    assert int(together["processes it sees"]) > int(alone["processes it sees"]) == 1
    assert "--pid container:one --ipc container:one --network container:one" in demo.command
    assert together["its root is, on the host, user"] == "0"
    demo.use("pid", OWN)
    demo.use("user", OWN)
    assert shared(demo, "one") == {"ipc", "net", "time"}
    assert int(demo.facts()["its root is, on the host, user"]) > 0
    assert len(left(client)) == 2, "the one before is gone"
    demo.close()
    assert left(client) == []


def test_when_one_has_gone_all_stays_as_it_was(client: Client) -> None:
    demo = NamespacesDemo()
    next(one for one in left(client) if one.name.startswith("one")).remove(force=True)
    with pytest.raises(LabkitError):
        demo.use("pid", ONE)
    assert demo.modes["pid"] == OWN
    assert [one.name[:3] for one in left(client)] == ["two"]
    demo.close()


def test_what_the_engine_refuses(client: Client) -> None:
    demo = NamespacesDemo()
    demo.use("pid", HOST)
    with pytest.raises(LabkitError, match="PID namespace when user namespaces"):
        demo.use("user", OWN)
    assert demo.modes["user"] == HOST
    assert len(left(client)) == 2
    demo.close()
