"""Networks: bridges between containers, their addresses, names, and ways in and out.

`Networks` is what the floors above use; a container's cable is laid by the container's own plan
(labkit.runtime.plan_network), with what `Networks.join` has found for it.
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
