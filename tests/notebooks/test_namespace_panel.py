"""The switches of the namespace demo on a real engine: what is shared, said, refused and left."""

from collections.abc import Iterator
from typing import Any

import pytest

from labkit.client import Client
from labkit.course.namespaces.namespace_map import KINDS
from labkit.course.namespaces.namespace_panel import HOST, ONE, OWN, NamespacePanel
from labkit.errors import LabkitError
from tests.lab import Lab

pytestmark = pytest.mark.root


def shared(panel: NamespacePanel, whose: str) -> set[str]:
    found = panel.map()
    return {kind for kind in KINDS if whose in found.shared_with("two", kind)}


def answers(panel: NamespacePanel) -> dict[str, str]:
    return {row[0]: row[1] for row in panel.facts().rows}


def left(client: Client) -> list[Any]:
    return client.containers.list(all=True)


def test_each_switch_and_what_two_says(client: Client) -> None:
    panel = NamespacePanel()
    assert shared(panel, "one") == {"user", "time"}
    alone = answers(panel)
    assert (alone["interfaces"], alone["the memory of one"]) == ("1", "no such key")
    for kind in ("pid", "ipc", "net"):
        panel.choose(kind, ONE)
    for kind in ("uts", "cgroup"):
        panel.choose(kind, HOST)
    assert shared(panel, "one") == {"pid", "ipc", "net", "user", "time"}
    assert shared(panel, "the host") == {"uts", "cgroup", "user", "time"}
    together = answers(panel)
    assert (together["interfaces"], together["the memory of one"]) == ("2", "found")
    assert int(together["processes it sees"]) > int(alone["processes it sees"])
    assert "--pid container:one --ipc container:one --network container:one" in panel.command
    assert together["its root, on the host, is user"] == "0"
    panel.choose("pid", OWN)
    panel.choose("user", OWN)
    assert shared(panel, "one") == {"ipc", "net", "time"}
    assert int(answers(panel)["its root, on the host, is user"]) > 0
    assert len(left(client)) == 2, "the one before is gone"
    panel.close()
    assert left(client) == []


def test_when_one_has_gone_all_stays_as_it_was(client: Client) -> None:
    panel = NamespacePanel()
    next(one for one in left(client) if one.name.startswith("one")).remove(force=True)
    with pytest.raises(LabkitError):
        panel.choose("pid", ONE)
    assert panel.modes["pid"] == OWN
    assert [one.name[:3] for one in left(client)] == ["two"]
    panel.close()


def test_what_the_engine_refuses(client: Client) -> None:
    panel = NamespacePanel()
    panel.choose("pid", HOST)
    with pytest.raises(LabkitError, match="PID namespace when user namespaces"):
        panel.choose("user", OWN)
    assert panel.modes["user"] == HOST
    assert len(left(client)) == 2
    panel.close()


def test_a_new_panel_closes_the_last(client: Client) -> None:
    first = NamespacePanel()
    second = NamespacePanel()
    assert first.status.startswith("Stopped")
    with pytest.raises(LabkitError, match="closed"):
        first.choose("pid", HOST)
    assert len(left(client)) == 2
    second.close()
    assert left(client) == []
