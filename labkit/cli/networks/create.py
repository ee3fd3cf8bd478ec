"""`labkit network create`: make a network."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value
from labkit.cli.base.flags import Flag
from labkit.client.networks import network_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NETWORK",
    (
        Flag("attachable", "", "bool", "Accepted for Docker's sake: every container may join"),
        Flag("aux-address", "", "list", "Address of another machine (name=address)"),
        Flag("driver", "d", "string", "Driver of the network: bridge", initial="bridge"),
        Flag("gateway", "", "list", "Address of the bridge on the subnet", word="address"),
        Flag("internal", "", "bool", "Allow no traffic to or from outside"),
        Flag("ip-range", "", "list", "Part of the subnet to give addresses from", word="subnet"),
        Flag("ipv6", "", "bool", "Give IPv6 addresses as well"),
        Flag("label", "", "list", "Attach a label (name=value)"),
        Flag("opt", "o", "list", "Option of the driver (name=value)"),
        Flag("subnet", "", "list", "Subnet in CIDR notation, such as 10.5.0.0/24"),
    ),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print its id."""
    body = network_body(
        arguments[0],
        attachable=options["attachable"],
        driver=options["driver"],
        enable_ipv6=options["ipv6"],
        internal=options["internal"],
        ipam=_ipam(options),
        labels=_pairs("label", options["label"]),
        options=_pairs("opt", options["opt"]),
    )
    print(context.api().post("/networks/create", body)["Id"])
    return 0


def _ipam(options: "dict[str, Any]") -> "list[dict[str, Any]]":
    """Return a pool for each subnet, with the range, gateway and addresses in it."""
    import ipaddress  # noqa: PLC0415 only with a subnet

    subnets = options["subnet"]
    wanted = (options["ip_range"], options["gateway"], options["aux_address"])
    if not subnets:
        if any(wanted):
            raise UsageError("--ip-range, --gateway and --aux-address need a --subnet", BAD_FLAG)
        return []
    pools: list[dict[str, Any]] = [{"Subnet": subnet} for subnet in subnets]

    def pool_of(text: str) -> "dict[str, Any]":
        try:
            address = ipaddress.ip_interface(text).ip
            for pool in pools:
                if address in ipaddress.ip_network(pool["Subnet"], strict=False):
                    return pool
        except ValueError as error:
            raise UsageError(str(error), BAD_FLAG) from None
        raise UsageError(f"no matching subnet for {text}", BAD_FLAG)

    for text in options["ip_range"]:
        pool_of(text)["IPRange"] = text
    for text in options["gateway"]:
        pool_of(text)["Gateway"] = text
    for name, address in _pairs("aux-address", options["aux_address"]).items():
        pool_of(address).setdefault("AuxiliaryAddresses", {})[name] = address
    return pools


def _pairs(flag: str, given: list[str]) -> dict[str, str]:
    for text in given:
        if text.startswith("="):
            raise bad_value(text, f"--{flag}", "no name")
    return {text.partition("=")[0]: text.partition("=")[2] for text in given}
