"""The parts of an engine, on which the functions of this package work."""

import contextlib
import os
import time
from collections.abc import Callable

from labkit import cgroups, ownership, snapshots
from labkit.containers.given.defaults import Defaults as ContainerDefaults
from labkit.containers.given.volumes import Volumes
from labkit.containers.life.monitor import Monitor
from labkit.containers.records import id_ranges
from labkit.containers.records.entry import Entry
from labkit.containers.records.events import Events
from labkit.containers.records.lookup import Lookup
from labkit.containers.records.records import Records
from labkit.containers.records.remover import Remover
from labkit.dialect.moments import timestamp
from labkit.errors import NO_SPACE, NotFoundError
from labkit.images import ImageStore
from labkit.kernel import reserve
from labkit.networks import Network, Networks
from labkit.networks.defaults import Defaults
from labkit.networks.names.server import NameServer
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.launch import Spawner

OnEnd = Callable[[Entry, ExitStatus | None], None]
"""Called when a container has ended: with its exit status, or None if its shim left none."""


class Parts:
    """One of each: the image store, the cgroup layout, the records, the spawner, the monitor…"""

    def __init__(
        self,
        paths: Paths,
        on_end: OnEnd,
        userns_remap: str,
        addresses: Defaults,
        defaults: ContainerDefaults,
    ) -> None:
        os.makedirs(paths.root, 0o700, exist_ok=True)
        os.makedirs(f"{paths.run}/containers", 0o755, exist_ok=True)
        # A plan uses its paths inside another root, where a symbolic link would lead elsewhere.
        self.paths = Paths(os.path.realpath(paths.root), os.path.realpath(paths.run))
        self.on_end = on_end
        self.defaults = defaults
        self.userns_remap = userns_remap
        """The owner of the default id range: `default`, user[:group]; empty for the host's ids."""
        if userns_remap:
            id_ranges.find(userns_remap)  # raises now if it is invalid
        self.on_running: Callable[[Entry], None] = lambda entry: None
        """Called when a container has been started or adopted; the caller holds its lock."""
        reserve.use(self.paths.root)
        full = [] if reserve.fill() else [f"{self.paths.root}: {NO_SPACE}"]
        self.images = ImageStore(self.paths.root)
        self.snapshots = snapshots.of(self.paths.root)
        self.layout = cgroups.detect(ownership.cgroup_parent(self.paths.root))
        self.warnings = [*full, *self.layout.prepare()]
        self.remover = Remover(self.paths.root)
        self.records = Records(self.paths, self.remover, self.snapshots)
        self.volumes = Volumes(self.paths.root, self.remover, self._publish_volume)
        self.networks = Networks(
            self.paths.root,
            self.paths.run,
            ownership.link_prefix(self.paths.root),
            lambda: timestamp(time.time_ns()),
            on_change=self.publish_network,
            defaults=addresses,
        )
        self.warnings += [*self.volumes.warnings, *self.networks.warnings, *self.images.warnings]
        self.name_server = NameServer(self.networks.names)
        self.lookup = Lookup()
        self.spawner = Spawner()
        self.monitor = Monitor()
        self.events = Events()

    def _publish_volume(self, action: str, name: str) -> None:
        self.events.publish("volume", action, name, {"driver": "local"})

    def publish_network(self, action: str, network: Network, **more: str) -> None:
        """Publish an event of a network."""
        attributes = {"name": network.name, "type": network.driver, **more}
        self.events.publish("network", action, network.id, attributes)

    def publish_networks(self, action: str, entry: Entry) -> None:
        """Publish an event for each network of a container that starts or ends."""
        container = entry.container
        for name in container.networks:
            with contextlib.suppress(NotFoundError):  # removed while the container ran
                self.publish_network(action, self.networks.find(name), container=container.id)

    def publish_mounts(self, action: str, entry: Entry) -> None:
        """Publish an event for each volume of a container that starts or ends."""
        container = entry.container
        for point in container.mount_points:
            if point.type == "volume":
                attributes = {"container": container.id, "driver": "local"}
                if action == "mount":
                    attributes |= {
                        "destination": point.destination,
                        "propagation": "",
                        "read/write": str(not point.read_only).lower(),
                    }
                self.events.publish("volume", action, point.name, attributes)

    def publish(self, action: str, entry: Entry, **attributes: str) -> None:
        """Publish an event of a container."""
        container = entry.container
        known = {"image": container.config.image, "name": container.name}
        everything = {**(container.config.labels or {}), **known, **attributes}
        self.events.publish("container", action, container.id, everything)
