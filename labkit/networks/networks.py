"""The networks of one engine, with the containers on them and their addresses.

    >>> networks = Networks(root, run, "labkit", now)
    >>> web = networks.create(Network("web", new_id(), now()))
    >>> endpoint = networks.join(web, EndpointConfig(), interface="eth0", names=["a"])
    >>> endpoint.ipv4_address
    '10.208.16.2'

A network's bridge is made together with the network; the default one's, for its first container.
The firewall's rules are derived from the networks, and set again after a change (`refresh`).
"""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable

from labkit.errors import (
    ConflictError,
    ForbiddenError,
    InvalidParameterError,
    LabkitError,
    NotFoundError,
)
from labkit.networks import bridges, creation, firewall, options, ports, shares, subnets
from labkit.networks.addresses import AddressSpace, parse_subnet
from labkit.networks.claims import Claims
from labkit.networks.defaults import USUAL, Defaults
from labkit.networks.firewall import Forward
from labkit.networks.model import (
    BRIDGE,
    DEFAULT_NETWORK,
    HOST,
    NONE,
    Endpoint,
    EndpointConfig,
    Ipam,
    IpamConfig,
    Network,
    Sandbox,
)
from labkit.networks.names.table import Table
from labkit.networks.ports import PortWish
from labkit.networks.records import NetworkRecords
from labkit.networks.rules import Rules, forwards_to, way_in

NEVER = "0001-01-01T00:00:00Z"
PREDEFINED = {"host": HOST, "none": NONE}
"""Networks for which nothing has to be made."""

OnChange = Callable[[str, Network], None]
"""Called with an event (`create`, `destroy`) and the network."""


def new_id() -> str:
    """A new random id."""
    return secrets.token_hex(32)


class Networks:
    """The networks of one engine.  Thread-safe."""

    def __init__(
        self,
        root: str,
        run: str,
        prefix: str,
        clock: Callable[[], str],
        *,
        on_change: OnChange = lambda action, network: None,
        defaults: Defaults = USUAL,
    ) -> None:
        """`clock` returns the present time in the format of records."""
        self.prefix = prefix
        self._clock = clock
        self._on_change = on_change
        self._defaults = defaults
        self._records = NetworkRecords(root)
        self._lock = threading.RLock()
        self._claims = Claims(run)
        self._mtus: dict[str, int] = {}
        """The largest packet on each network whose bridge exists, by the network's id."""
        self._spaces: dict[str, list[AddressSpace]] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._names: Table | None = None
        """None if something has changed since it was last made."""
        self._rules = Rules(prefix, run, self._present)
        self._by_id = {_id_of(name): _predefined(name, kind) for name, kind in PREDEFINED.items()}
        for network in self._records.load_all():
            try:
                self._add(network)
            except (LabkitError, ValueError) as error:
                del self._by_id[network.id]
                self._records.set_aside(network, error)

    # The networks

    @property
    def warnings(self) -> list[str]:
        """A warning for each record that could not be read."""
        return self._records.warnings

    @property
    def present_warnings(self) -> list[str]:
        """A warning for each network that hides addresses of others, and one if nft is missing."""
        with self._lock:
            hiding = [network.warning for network in self._by_id.values() if network.hides]
        return [*hiding, *filter(None, [firewall.trouble()])]

    def all(self) -> list[Network]:
        """Every network, by name."""
        self.default()
        with self._lock:
            return sorted(self._by_id.values(), key=lambda network: network.name)

    def find(self, ref: str) -> Network:
        """The network with `ref` as its id, else as its name, else as the beginning of its id."""
        if ref in (DEFAULT_NETWORK, "default"):
            return self.default()
        with self._lock:
            everything = list(self._by_id.values())
        for network in everything:
            if ref in (network.id, network.name):
                return network
        matches = [network for network in everything if ref and network.id.startswith(ref)]
        if len(matches) > 1:
            raise InvalidParameterError(f"network {ref} is ambiguous ({len(matches)} matches)")
        if not matches:
            raise NotFoundError(f"network {ref} not found")
        return matches[0]

    def default(self) -> Network:
        """The network of containers that name no network; it is made if it does not exist."""
        with self._lock:
            for network in self._by_id.values():
                if network.is_default:
                    return network
            network = Network(
                *(DEFAULT_NETWORK, new_id(), self._clock()),
                enable_ipv6=self._defaults.ipv6,
                ipam=Ipam(config=self._defaults.bridge()),
                options=self._defaults.options(),
            )
            return self._create(network, f"{self.prefix}0")

    def create(self, network: Network) -> Network:
        """Make a network and its bridge; settings that its record leaves open are chosen here.

        ConflictError (name or subnet in use), InvalidParameterError, ForbiddenError.
        """
        creation.check(network)
        if network.name in (*PREDEFINED, DEFAULT_NETWORK, "default"):
            raise ForbiddenError(f"operation is not permitted on predefined {network.name} network")
        with self._lock:
            if any(known.name == network.name for known in self._by_id.values()):
                raise ConflictError(f"network with name {network.name} already exists")
            shares.check(network, self._by_id.values())
            creation.settle(network)
            link = "" if network.parent else network.options.get(options.NAME) or self._free_link()
            self._create(network, link)
            try:
                self._ensure_link(network)
            except BaseException:
                self._forget(network)
                raise
        self._on_change("create", network)
        self.refresh()
        return network

    def _create(self, network: Network, link: str) -> Network:
        network.bridge = link
        if link and any(known.bridge == link for known in self._by_id.values()):
            raise ConflictError(f"the link {link} belongs to another network")
        try:
            creation.complete(network, self._surroundings(), self._claims)
            self._records.save(network)
        except BaseException:
            # Subnets of other networks are not released: they overlap, and were not claimed here.
            taken = {c.subnet for known in self._by_id.values() for c in known.ipam.config}
            for config in network.ipam.config:
                if config.subnet not in taken:
                    self._claims.release(config.subnet)
            raise
        self._add(network)
        return network

    def _add(self, network: Network) -> None:
        self._by_id[network.id] = network
        self._spaces[network.id] = [
            AddressSpace(c.subnet, c.ip_range, [c.gateway, *c.auxiliary_addresses.values()])
            for c in network.ipam.config
        ]

    def _surroundings(self) -> creation.Surroundings:
        known = self._by_id.values()
        ours = [parse_subnet(c.subnet) for network in known for c in network.ipam.config]
        machine = subnets.in_use(network.bridge for network in known)
        return creation.Surroundings(ours, machine, self._defaults.pools)

    def _free_link(self) -> str:
        taken = {network.bridge for network in self._by_id.values()}
        number = 1
        while f"{self.prefix}{number}" in taken:
            number += 1
        return f"{self.prefix}{number}"

    def remove(self, network: Network) -> None:
        """Remove a network and its bridge; ForbiddenError, ConflictError if containers use it."""
        with self._lock:
            if network.is_default or not network.gives_addresses:
                raise ForbiddenError(
                    f"{network.name} is a pre-defined network and cannot be removed"
                )
            if network.id not in self._by_id:
                raise NotFoundError(f"network {network.name} not found")
            if self.members(network):
                raise ForbiddenError(
                    f"error while removing network: network {network.name} id {network.id} has "
                    "active endpoints: stop or disconnect its containers"
                )
            self._forget(network)
        self._on_change("destroy", network)
        self.refresh()

    def _forget(self, network: Network) -> None:
        self._records.remove(network)
        del self._by_id[network.id], self._spaces[network.id]
        self._mtus.pop(network.id, None)
        bridges.unplug([network.bridge])
        creation.give_up(network, self._claims)

    # The containers on them

    def members(self, network: Network) -> dict[str, Endpoint]:
        """The endpoints on a network, by the ids of their containers."""
        with self._lock:
            return {
                sandbox.container_id: endpoint
                for sandbox in self._sandboxes.values()
                for endpoint in sandbox.endpoints
                if endpoint.network_id == network.id
            }

    def sandboxes(self) -> Iterable[Sandbox]:
        """The sandboxes of all running containers."""
        with self._lock:
            return list(self._sandboxes.values())

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The sandbox of a running container; None if it does not run."""
        return self._sandboxes.get(container_id)

    def names(self) -> Table:
        """The present names of containers."""
        with self._lock:
            if self._names is None:
                self._names = Table(self._by_id.values(), self._sandboxes.values())
            return self._names

    def join(
        self,
        network: Network,
        wanted: EndpointConfig,
        *,
        interface: str,
        names: Iterable[str],
        mac: str = "",
    ) -> Endpoint:
        """Reserve an endpoint on a network, with free addresses; its cable is not made yet.

        `leave` frees it.  ConflictError, InvalidParameterError.
        """
        asked = wanted.ipam_config
        given: list[str] = []
        with self._lock:
            if network.id not in self._by_id:
                raise NotFoundError(f"network {network.name} not found")
            mtu = self._ensure_link(network)
            spaces = self._spaces[network.id]
            try:
                for space in spaces:
                    wish = (asked.ipv4_address, asked.ipv6_address) if asked else ("", "")
                    given.append(space.take(wish[space.subnet.version == 6]))
            except BaseException:
                for space, address in zip(spaces, given, strict=False):
                    space.give_back(address)
                raise
            endpoint = Endpoint(
                id=new_id(),
                network_id=network.id,
                interface=interface,
                host_interface="" if network.parent else self._free_cable(),
                mac=shares.mac_of(network, wanted.mac_address or mac or bridges.mac_of(given[0])),
                ipv4_address="",
                ipv4_prefix=0,
                names=list(dict.fromkeys(names)),
                bridge=network.link,
                driver=network.driver if network.parent else BRIDGE,
                mode=shares.mode_of(network),
                link_local=list((asked.link_local_ips if asked else None) or []),
                mtu=mtu,
                priority=wanted.gw_priority,
                isolated=not options.is_on(network.options, options.ICC, default=True),
            )
        for space, config, address in zip(spaces, network.ipam.config, given, strict=True):
            gateway = "" if network.internal else config.gateway
            _set_address(endpoint, space, address, gateway)
        try:
            if self._rules.are_stale:
                self.refresh()
        except BaseException:
            self.leave(endpoint)
            raise
        return endpoint

    def _free_cable(self) -> str:
        digits = bridges.cable_digits(self.prefix)
        taken = {e.host_interface for s in self._sandboxes.values() for e in s.endpoints}
        while True:
            name = f"{self.prefix}v{secrets.token_hex(4)[:digits]}"
            if name not in taken:
                return name

    def leave(self, endpoint: Endpoint) -> None:
        """Free the addresses of an endpoint."""
        with self._lock:
            self._names = None
            for space in self._spaces.get(endpoint.network_id, ()):
                own = endpoint.ipv4_address if space.subnet.version == 4 else endpoint.ipv6_address
                if own:
                    space.give_back(own)

    def publish(self, sandbox: Sandbox, wishes: Iterable[PortWish]) -> None:
        """Assign ports of the host to a container that starts, and record its sandbox.

        On internal networks alone it gets none: they cannot be reached from outside.
        ConflictError names the container that has a port.  `refresh` sets the rules afterwards.
        """
        with self._lock:
            holders = list(self._sandboxes.values())
            if (endpoint := way_in(sandbox)) is not None:
                is_6 = bool(endpoint.ipv6_address) or ports.relays_ipv6()
                network = self._by_id[endpoint.network_id]
                sandbox.ports = ports.allocate(
                    sandbox.container_id,
                    wishes,
                    holders,
                    with_ipv6=is_6,
                    binding=network.binding,
                    routed=network.routed,
                )
            self.take_note(sandbox)

    def take_note(self, sandbox: Sandbox) -> None:
        """Record the sandbox of a container that starts, was found running, or has changed."""
        with self._lock:
            self._names = None
            self._sandboxes[sandbox.container_id] = sandbox
            for endpoint in sandbox.endpoints:
                for space in self._spaces.get(endpoint.network_id, ()):
                    is_4 = space.subnet.version == 4
                    space.take_note(endpoint.ipv4_address if is_4 else endpoint.ipv6_address)

    def forget(self, container_id: str) -> None:
        """Free the addresses and ports of a container that has ended."""
        with self._lock:
            self._names = None
            sandbox = self._sandboxes.pop(container_id, None)
            for endpoint in sandbox.endpoints if sandbox else ():
                self.leave(endpoint)
        if sandbox and sandbox.ports:
            self.refresh()

    # Bridges and rules

    def _ensure_link(self, network: Network) -> int:
        """Make a network's bridge if it is missing; returns its largest packet in bytes."""
        known = self._mtus.get(network.id)
        if known is not None and bridges.exists(network.link):
            return known
        mtu = bridges.mtu_of(network)
        bridges.ensure(network, mtu)
        self._mtus[network.id] = mtu
        self._rules.are_stale |= not network.parent
        return mtu

    def refresh(self) -> None:
        """Update the rules; the caller must not hold `self._lock`, for this waits for nft."""
        self._rules.refresh()

    def _present(self) -> tuple[list[Network], list[Forward]]:
        with self._lock:
            bridged = [network for network in self._by_id.values() if not network.parent]
            linked = [network for network in bridged if network.id in self._mtus]
            return linked, list(forwards_to(self._sandboxes.values()))

    def reconcile(self) -> None:
        """Repair bridges and rules at the daemon's start, when every running container is known.

        Links of no container are removed.  Without nft no bridge is made.
        """
        with self._lock:
            for network in list(self._by_id.values()):
                if not network.gives_addresses or network.parent:
                    continue
                if network.is_default:
                    network.options = self._defaults.options()
                self._give_own_link(network)
                self._claim_again(network)
                is_needed = not network.is_default or self.members(network)
                if is_needed and not firewall.trouble():
                    self._ensure_link(network)
            belongs = {made.bridge for made in self._by_id.values() if made.id in self._mtus}
            belongs |= {e.host_interface for s in self._sandboxes.values() for e in s.endpoints}
            found = {link.name for link in bridges.with_prefix(self.prefix)}
        bridges.unplug(found - belongs)
        self._rules.distrust()
        self.refresh()

    def _give_own_link(self, network: Network) -> None:
        """Rename its bridge for this engine, if the record is a copy of another engine's.

        A copied data root has the records of networks that another engine uses.
        """
        link = network.bridge
        is_chosen = network.options.get(options.NAME) == link
        if is_chosen or bridges.is_of(self.prefix, link) or self.members(network):
            return
        network.bridge = f"{self.prefix}0" if network.is_default else self._free_link()
        self._records.save(network)

    def _claim_again(self, network: Network) -> None:
        """Claim its subnets; if another program uses a chosen one by now, choose another.

        The default network also follows a new value of `bip`.
        """
        if network.is_default and not (self.members(network) or self._defaults.describe(network)):
            network.enable_ipv6 = self._defaults.ipv6
            self._begin_again(network, self._defaults.bridge())
            return
        elsewhere = subnets.in_use(known.bridge for known in self._by_id.values())
        for config in network.ipam.config:
            subnet = parse_subnet(config.subnet)
            is_free = subnets.overlaps(subnet, elsewhere) is None
            if is_free and self._claims.claim(config.subnet):
                continue
            if config.subnet in network.chosen and not self.members(network):
                kept = [c for c in network.ipam.config if c.subnet not in network.chosen]
                self._begin_again(network, kept)
                return

    def _begin_again(self, network: Network, configs: list[IpamConfig]) -> None:
        """Give a network without containers other subnets: `configs`, and chosen ones."""
        creation.give_up(network, self._claims)
        network.ipam.config, network.chosen, network.hides = configs, [], ""
        del self._by_id[network.id]
        bridges.unplug([network.bridge])
        self._create(network, network.bridge)

    def close(self) -> None:
        """Close at the daemon's end; bridges and rules remain while containers use them."""
        with self._lock:
            self._claims.close()  # a subnet in use has a route by now
            is_in_use = bool(self._sandboxes)
            linked = [n.bridge for n in self._by_id.values() if n.id in self._mtus]
            if not is_in_use:
                self._mtus.clear()
        if linked and not is_in_use:
            self.refresh()
            bridges.unplug(linked)
        self._rules.close()


def _set_address(endpoint: Endpoint, space: AddressSpace, address: str, gateway: str) -> None:
    prefix = space.subnet.prefixlen
    if space.subnet.version == 4:
        endpoint.ipv4_address, endpoint.ipv4_prefix, endpoint.gateway = address, prefix, gateway
    else:
        endpoint.ipv6_address, endpoint.ipv6_prefix = address, prefix
        endpoint.ipv6_gateway = gateway


def _id_of(name: str) -> str:
    """A constant id in the usual form: these networks exist without having been made."""
    return hashlib.sha256(f"labkit network {name}".encode()).hexdigest()


def _predefined(name: str, kind: str) -> Network:
    return Network(name, _id_of(name), NEVER, driver=kind)
