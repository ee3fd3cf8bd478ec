"""The table: three kinds, done, accepted without effect (why), refused (why)."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from labkit import API_VERSION
from labkit.containers.inside.execs import ExecConfig
from labkit.containers.records import mount_model
from labkit.containers.records.model import ContainerConfig, HostConfig
from labkit.daemon import create_body
from labkit.daemon.routes import TABLE, networks, swarm
from labkit.daemon.routes.matching import Handler
from labkit.errors import NotFoundError
from labkit.images.models import Healthcheck
from labkit.networks import model as network_model
from tests.lab import PROJECT

PUBLISHED = Path(__file__).parent / "published.txt"
SHOWN = PROJECT / "labkit/daemon/API.md"
DONE, WITHOUT_EFFECT, REFUSED = "done", "accepted without effect", "refused"

MODELS: dict[str, type[msgspec.Struct]] = {
    "ContainerConfig": ContainerConfig,
    "Healthcheck": Healthcheck,
    "HostConfig": HostConfig,
    "EndpointConfig": network_model.EndpointConfig,
    "EndpointIpam": network_model.EndpointIpam,
    "Mount": mount_model.Mount,
    "BindOptions": mount_model.BindOptions,
    "VolumeOptions": mount_model.VolumeOptions,
    "TmpfsOptions": mount_model.TmpfsOptions,
    "ImageOptions": mount_model.ImageOptions,
    "Network": networks.CreateBody,
    "ExecConfig": ExecConfig,
}
NOT_YET = {
    "HostConfig": create_body.HOST_CONFIG_NOT_YET,
    "ContainerConfig": create_body.CONFIG_NOT_YET,
}
NO_PLUGINS = "labkit has no plugins"
REFUSED_ENDPOINTS: dict[Handler, str] = {
    swarm.refuse: f"503: {swarm.NO_SWARM}",
    swarm.begin: f"503: {swarm.NO_SWARM}",
    swarm.leave: f"503: {swarm.NO_SWARM}",
    swarm.no_plugin: f"404: {NO_PLUGINS}",
    swarm.no_new_plugin: f"501: {NO_PLUGINS}",
}
REFUSED_FIELDS = {
    "HostConfig.Cgroup": "each container has a separate group",
    "HostConfig.CpuCount": "of Windows",
    "HostConfig.CpuPercent": "of Windows",
    "HostConfig.CpuRealtimePeriod": "labkit gives no real-time CPU",
    "HostConfig.CpuRealtimeRuntime": "labkit gives no real-time CPU",
    "HostConfig.IOMaximumBandwidth": "of Windows",
    "HostConfig.IOMaximumIOps": "of Windows",
    "HostConfig.Isolation": "of Windows; `default` is taken",
    "Network.Ingress": "labkit has no swarm",
    "Network.ConfigOnly": "labkit has no swarm",
}
IDLE_FIELDS = {
    "BindOptions.ReadOnlyForceRecursive": "read-only is recursive on every kernel labkit runs on",
    "ContainerConfig.ArgsEscaped": "of Windows",
    "ContainerConfig.OnBuild": "a word for builders",
    "ContainerConfig.Shell": "a word for builders",
    "HostConfig.Annotations": "words for a runtime: kept and shown",
    "HostConfig.ContainerIDFile": "the command writes the file",
    "HostConfig.KernelMemoryTCP": "the kernel has no such limit any more",
    "Mount.Consistency": "for Docker on other systems than Linux",
    "Network.Attachable": "kept and shown: of swarm",
    "Network.ConfigFrom": "labkit has no swarm",
    "Network.Scope": "every network is local",
}


class Line(NamedTuple):
    """An endpoint or a field, its kind, and the reason if it is not done."""

    name: str
    kind: str
    why: str = ""


def endpoints() -> Iterator[Line]:
    """Each endpoint; AssertionError for one that is not routed."""
    for line in PUBLISHED.read_text().splitlines():
        if re.match(r"[A-Z]+ /", line):
            method, path = line.split()
            yield _endpoint(line, method, path)


def _endpoint(name: str, method: str, path: str) -> Line:
    try:
        handler, _ = TABLE.find(method, re.sub(r"\{\w+\}", "x", path))
    except NotFoundError:
        raise AssertionError(f"{name} has no route") from None
    why = REFUSED_ENDPOINTS.get(handler, "")
    return Line(name, REFUSED if why else DONE, why)


def fields() -> Iterator[Line]:
    """Each field; AssertionError for one that labkit does not know and does not name here."""
    text = PUBLISHED.read_text()
    for model, names in re.findall(r"^(\w+): ((?:.|\n    )+)", text, re.MULTILINE):
        known = {field.encode_name for field in msgspec.structs.fields(MODELS[model])}
        for name in names.split():
            yield _field(f"{model}.{name}", name in known, NOT_YET.get(model, {}).get(name))


def _field(name: str, is_known: bool, not_yet: create_body.NotYet | None) -> Line:
    if name in IDLE_FIELDS:
        return Line(name, WITHOUT_EFFECT, IDLE_FIELDS[name])
    why = REFUSED_FIELDS.get(name) or (not_yet.why if not_yet else "")
    if why:
        return Line(name, REFUSED, why)
    assert is_known, f"{name} is neither done nor explained"
    return Line(name, DONE)


def text() -> str:
    """The whole page."""
    lines = [*endpoints(), *fields()]
    counts = Counter(line.kind for line in lines)
    head = ", ".join(f"{counts[kind]} {kind}" for kind in (DONE, WITHOUT_EFFECT, REFUSED))
    rows = [f"| `{line.name}` | {line.kind} | {line.why} |" for line in lines]
    return "\n".join([
        f"# Docker's API {API_VERSION}, and what labkit does with it",
        "",
        f"Made by `python -m tests.api_table` from the published API and the routes: {head}.",
        "",
        "| Endpoint or field | | |",
        "|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip
