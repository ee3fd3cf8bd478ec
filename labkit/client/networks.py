"""The body of `POST /networks/create`, from the arguments of docker-py and the command line."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def network_body(
    name: str,
    *,
    attachable: bool = False,
    driver: str = "bridge",
    enable_ipv6: bool = False,
    internal: bool = False,
    ipam: "Sequence[Mapping[str, Any]]" = (),
    labels: "Mapping[str, str] | None" = None,
    options: "Mapping[str, str] | None" = None,
) -> dict[str, object]:
    """Return the request for a network; `ipam` are its subnets in the API's form."""
    return {
        "Name": name,
        "Attachable": attachable,
        "CheckDuplicate": True,
        "Driver": driver,
        "EnableIPv6": enable_ipv6,
        "IPAM": {"Driver": "default", "Config": [dict(pool) for pool in ipam]},
        "Internal": internal,
        "Labels": dict(labels or {}),
        "Options": dict(options or {}),
    }
