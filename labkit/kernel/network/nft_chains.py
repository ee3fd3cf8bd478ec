"""The base chains of nf_tables: which table has rules at which hook of the kernel.

They are read by netlink, because running `nft` would take longer than all else together
(linux/netfilter/nf_tables.h).
"""

import errno
import socket
from struct import pack, unpack

from labkit.kernel.network.netlink import NetfilterSocket, attributes

SUBSYSTEM = 10
_GET_CHAIN = SUBSYSTEM << 8 | 4
_TABLE, _NAME, _HOOK, _TYPE = 1, 3, 4, 7
_HOOK_NUMBER = 1
_FAMILIES = {1: "inet", socket.AF_INET: "ip", socket.AF_INET6: "ip6"}
FORWARD = 2
"""The hook for forwarded packets (linux/netfilter.h)."""


def filtering(hook: int) -> list[tuple[str, str, str]]:
    """Return family, table and name of each IP chain that filters at a hook; OSError.

    A kernel without nf_tables has none.
    """
    found = []
    try:
        with NetfilterSocket() as netfilter:
            answers = list(netfilter.dump(_GET_CHAIN, pack("=BBH", 0, 0, 0)))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EPROTONOSUPPORT):
            return []
        raise
    for body in answers:
        inside = attributes(body[4:])
        if _HOOK not in inside or body[0] not in _FAMILIES:
            continue
        (number,) = unpack(">I", attributes(inside[_HOOK])[_HOOK_NUMBER])
        if number == hook and _text(inside[_TYPE]) == "filter":
            found.append((_FAMILIES[body[0]], _text(inside[_TABLE]), _text(inside[_NAME])))
    return found


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
