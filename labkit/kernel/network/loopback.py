"""The loopback interface: a new network namespace has one, switched off (netdevice(7))."""

import fcntl
import socket
from struct import pack

SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
IFF_RUNNING = 0x40


def bring_up() -> None:
    """Switch on `lo` in the network namespace of this process."""
    request = pack("16sh22x", b"lo", IFF_UP | IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)
