"""Networks: bridges between containers, with their addresses, names, and published ports.

Packages above use `Networks`.  A container's own plan makes its cable
(labkit.runtime.plan_network), with the addresses that `Networks.join` has reserved.
"""

from labkit.networks.model import (
    Endpoint,
    EndpointConfig,
    Network,
    PublishedPort,
    Sandbox,
)
from labkit.networks.networks import Networks, new_id
from labkit.networks.ports import PortBinding

__all__ = [
    "Endpoint",
    "EndpointConfig",
    "Network",
    "Networks",
    "PortBinding",
    "PublishedPort",
    "Sandbox",
    "new_id",
]
