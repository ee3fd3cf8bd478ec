"""Looks at networks from within: a ping, a question for a name, a connection."""

import os
import socket
import struct
import time
from typing import Any

from dnslib import DNSRecord

from labkit.course.exercises import processes
from labkit.course.networks import netlink

TIMEOUT_S = 1.5
ECHO_REQUEST, ECHO_REPLY = 8, 0


def ping(pid: int, address: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether an address answers a ping from the network of a process (RFC 792)."""

    def look() -> bool:
        number = os.getpid() & 0xFFFF
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as plain:
            plain.settimeout(0.3)
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline:
                try:
                    plain.sendto(_echo(number), (address, 0))
                    answer = plain.recv(1024)
                except OSError:
                    time.sleep(0.05)
                    continue
                head = (answer[0] & 15) * 4
                kind, _, _, found, _ = struct.unpack("!BBHHH", answer[head : head + 8])
                if kind == ECHO_REPLY and found == number:
                    return True
        return False

    return _or_not(pid, look)


def _echo(number: int) -> bytes:
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, number, 1)
    total = sum(struct.unpack("!4H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, ~total & 0xFFFF, number, 1)


def address_of(pid: int, name: str, server: str = "127.0.0.11") -> str:
    """The address that a name has for a process, as its name server says; "" if none."""

    def look() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.settimeout(TIMEOUT_S)
            asked.sendto(DNSRecord.question(name).pack(), (server, 53))
            answer = DNSRecord.parse(asked.recv(4096))
        return next((str(record.rdata) for record in answer.rr if record.rtype == 1), "")

    try:
        return processes.inside(pid, ("net",), look)
    except OSError:
        return ""


def answers(address: str, port: int, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether something accepts a TCP connection at an address of this machine."""
    try:
        with socket.create_connection((address, port), timeout_s):
            return True
    except OSError:
        return False


def links(pid: int) -> list[dict[str, Any]]:
    """The links in the network of a process: name, index, addresses, whether up, and master."""
    with netlink.inside(f"/proc/{pid}/ns/net") as view:
        return _links(view)


def own_links() -> list[dict[str, Any]]:
    """The links in this process's network, as `links`."""
    with netlink.host() as view:
        return _links(view)


def _links(view: netlink.Netlink) -> list[dict[str, Any]]:
    addresses: dict[int, list[str]] = {}
    for each in view.get_addr(family=socket.AF_INET):
        addresses.setdefault(each["index"], []).append(str(each.get_attr("IFA_ADDRESS")))
    return [
        {
            "name": link.get_attr("IFLA_IFNAME"),
            "index": link["index"],
            "is_up": bool(link["flags"] & 1),
            "master": link.get_attr("IFLA_MASTER") or 0,
            "peer": link.get_attr("IFLA_LINK") or 0,
            "addresses": addresses.get(link["index"], []),
        }
        for link in view.get_links()
    ]


def default_route(pid: int) -> str:
    """The address of the gateway in the network of a process; "" without a way out (proc(5))."""
    try:
        with open(f"/proc/{pid}/net/route") as file:
            for line in file.readlines()[1:]:
                _, destination, gateway, *_ = line.split()
                if destination == "00000000":
                    return socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
    except OSError:
        pass
    return ""


def bridge_of(pid: int, interface: str = "eth0") -> str:
    """The bridge that the other end of a container's cable is plugged into; "" if none."""
    inside = next((link for link in links(pid) if link["name"] == interface), None)
    every = {link["index"]: link for link in own_links()}
    end = every.get(inside["peer"]) if inside else None
    master = every.get(end["master"]) if end else None
    return str(master["name"]) if master else ""


def _or_not(pid: int, look: Any) -> bool:
    try:
        return bool(processes.inside(pid, ("net",), look))
    except OSError:
        return False
