"""A container's ports as `ps` shows them: those in a row as one range, as with Docker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Port = dict[str, Any]


def displayed(ports: "Sequence[Port]") -> str:
    """`0.0.0.0:8000-8002->8000-8002/tcp, 90/udp, 127.0.0.1:81->80/tcp`.

    Only ports that have the same number outside are joined; the others come last.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    done: list[str] = []
    others: list[str] = []
    for port in sorted(ports, key=_order):
        number, kind, address = port["PrivatePort"], port["Type"], port.get("IP") or ""
        if address and port["PublicPort"] != number:
            others.append(f"{_at(address, port['PublicPort'])}->{number}/{kind}")
            continue
        group = groups.get((address, kind))
        if group and group[-1] + 1 == number:
            group[-1] = number
            continue
        if group:
            done.append(_range(address, kind, *group))
        groups[address, kind] = [number, number]
    done += [_range(*key, *group) for key, group in groups.items()]
    return ", ".join([*done, *others])


def _order(port: "Port") -> "tuple[Any, ...]":
    return port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]


def _range(address: str, kind: str, first: int, last: int) -> str:
    numbers = f"{first}-{last}" if last > first else f"{first}"
    return f"{_at(address, numbers)}->{numbers}/{kind}" if address else f"{numbers}/{kind}"


def _at(address: str, port: "int | str") -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
