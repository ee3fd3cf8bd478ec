"""The relay of a published port, if packets cannot be forwarded: it moves bytes between sockets.

An engine without root has its own network, which the machine's packets do not reach.  So the port
is opened in the machine's network, and a small process accepts connections and connects them to the
container.  TCP's bytes never enter this process: splice(2) moves them from socket to socket through
a pipe.  The process ends when its life line closes: with the container, or with the shim.
"""

import errno
import fcntl
import os
import socket
import termios
import time
from contextlib import suppress
from struct import pack, unpack

from labkit.kernel import processes
from labkit.runtime.watcher import READABLE, WRITABLE, Watcher

PIECE_BYTES = 1 << 20
MOST_PIECES = 16
"""How many pieces one flow moves before the others' turn: no sender can keep the others waiting."""
UDP_IDLE_S = 90.0
"""How long both sides of a UDP conversation may be silent before it is over, as with Docker."""
MOST_UDP_CLIENTS = 1024
LARGEST_DATAGRAM = 65536
RESET_WITHIN_S = 10.0
"""How long a client may take to receive the data before a reset."""
_LOOK_S = 0.02
_RESET_AT_CLOSE = pack("ii", 1, 0)
"""SO_LINGER (socket(7)): on, with zero seconds."""
_MOVE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


def start(listener: socket.socket, target: tuple[str, int]) -> socket.socket:
    """Start the process; return its life line, which the caller holds open while it is needed."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            processes.prctl(processes.PR_SET_NAME, b"labkit-relay")
            processes.close_all_but({0, 1, 2, listener.fileno(), theirs.fileno()})
            processes.set_limit("nofile", *[processes.hard_limit("nofile")] * 2)
            listener.setblocking(False)
            kind = _Udp if listener.type == socket.SOCK_DGRAM else _Tcp
            kind(listener, target).serve(theirs)
        finally:
            os._exit(0)
    theirs.close()
    listener.close()
    return ours


class _Relay:
    """An open port, the target of its data, and the sockets between the two."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.listener, self.target = listener, target
        self.family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.watcher = Watcher()
        self.timeout_s: float | None = None

    def serve(self, life: socket.socket) -> None:
        """Serve until the other end of the life line is closed."""
        self.watcher.watch(life.fileno(), READABLE, lambda _: os._exit(0))
        self.open()
        while True:
            self.watcher.serve(self.timeout_s)
            self.tidy()

    def open(self) -> None:
        """Accept data or connections from now on."""
        self.watcher.watch(self.listener.fileno(), READABLE, lambda _: self.take())

    def take(self) -> None:
        """Take what has arrived at the port."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Tidy up after each round; nothing by default."""


class _Flow:
    """One direction of a connection: the two sockets, and the data in the pipe between them."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.read, self.write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        self.has_ended = False
        self.is_over = False
        self.is_source_reset = False
        self.is_target_reset = False

    def move(self) -> None:
        """Move all that can be moved now.

        A source that was reset has ended, but what it sent before is still passed on.
        """
        for _ in range(MOST_PIECES):
            if self.is_over:
                return
            if not self.held and not self.has_ended:
                try:
                    self.held = self._splice(self.source.fileno(), self.write, PIECE_BYTES)
                except BlockingIOError:
                    return
                except OSError:
                    self.is_source_reset = True
                self.has_ended = not self.held
            try:
                while self.held:
                    self.held -= self._splice(self.read, self.target.fileno(), self.held)
            except BlockingIOError:
                return
            except OSError:
                self.is_target_reset = True
                self.is_over = self.has_ended = True
                self.held = 0
                return
            self.is_over = self.has_ended

    def pass_end_on(self) -> None:
        """Shut down the target after the source has ended and all its data is passed on."""
        if self.is_over:
            with suppress(OSError):
                self.target.shutdown(socket.SHUT_WR)

    @staticmethod
    def _splice(source: int, target: int, most: int) -> int:
        return os.splice(source, target, most, flags=_MOVE)

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class _Connection:
    """A client, the container's end, and a flow each way."""

    def __init__(self, relay: "_Tcp", client: socket.socket) -> None:
        self.relay, self.client = relay, client
        self.server = socket.socket(relay.family, socket.SOCK_STREAM)
        self.flows: tuple[_Flow, ...] = ()
        self.survivor = client
        try:
            for each in (self.client, self.server):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for ends in ((client, self.server), (self.server, client)):
                self.flows += (_Flow(*ends),)  # the second may fail (EMFILE): then both are closed
            with suppress(BlockingIOError):
                self.server.connect(relay.target)
        except OSError:
            self.close()
            raise
        relay.watcher.watch(self.server.fileno(), WRITABLE, lambda _: self._connected())

    def _connected(self) -> None:
        if self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._reset(self.client)
            return
        self._go_on()

    def _go_on(self) -> None:
        for flow in self.flows:
            flow.move()
        there, back = self.flows
        is_over = there.is_over and back.is_over
        for flow in self.flows:
            if flow.is_source_reset:
                self._reset(flow.target)
                return
            # A side that was found to be reset may have sent data before: its own flow, the other
            # one, passes that on first.
            if flow.is_target_reset and is_over:
                self._reset(flow.source)
                return
        if is_over:
            self.close()
            return
        if not (there.is_target_reset or back.is_target_reset):
            there.pass_end_on()
            back.pass_end_on()
        for own, other, end in ((there, back, self.client), (back, there, self.server)):
            # epoll reports a side that has ended again and again, so it is no longer watched.
            reads = 0 if own.has_ended or own.held else READABLE
            events = reads | (WRITABLE if other.held else 0)
            if events:
                self.relay.watcher.watch(end.fileno(), events, lambda _: self._go_on())
            else:
                self.relay.watcher.forget(end.fileno())

    def _reset(self, survivor: socket.socket) -> None:
        """Reset the remaining side after it has received all earlier data."""
        for end in (self.client, self.server):
            self.relay.watcher.forget(end.fileno())
        self.survivor = survivor
        self.relay.breaking[self] = time.monotonic() + RESET_WITHIN_S

    def has_unsent(self) -> bool:
        """Whether the kernel is still sending earlier data, which a reset would discard."""
        return _unsent_bytes(self.survivor) > 0

    def break_off(self) -> None:
        """Close with resets."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.close()

    def close(self) -> None:
        for end in (self.client, self.server):
            self.relay.watcher.forget(end.fileno())
            end.close()
        for flow in self.flows:
            flow.close()
        self.relay.open()  # its descriptors are free again


def _unsent_bytes(end: socket.socket) -> int:
    """Return how many bytes in the kernel's queue are not acknowledged (tcp(7), SIOCOUTQ)."""
    try:
        (size,) = unpack("i", fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, pack("i", 0)))
    except OSError:
        return 0
    return int(size)


class _Tcp(_Relay):
    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        super().__init__(listener, target)
        self.breaking: dict[_Connection, float] = {}
        """The connections to reset, and the latest time for each."""

    def tidy(self) -> None:
        """Reset the connections whose last bytes have been sent."""
        now = time.monotonic()
        for connection, latest in list(self.breaking.items()):
            if latest < now or not connection.has_unsent():
                del self.breaking[connection]
                connection.break_off()
        self.timeout_s = _LOOK_S if self.breaking else None

    def take(self) -> None:
        """Accept one client; while no descriptor is free (EMFILE), stop accepting."""
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.watcher.forget(self.listener.fileno())
            return
        try:
            _Connection(self, client)
        except OSError:
            client.close()


class _Client:
    """A sender of datagrams, and the socket on which the container answers it."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.last_s = time.monotonic()


class _Udp(_Relay):
    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        super().__init__(listener, target)
        self.clients: dict[object, _Client] = {}

    def take(self) -> None:
        """Pass one datagram on."""
        with suppress(OSError):
            data, address = self.listener.recvfrom(LARGEST_DATAGRAM)
            client = self.clients.pop(address, None) or self._welcome(address)
            client.last_s = time.monotonic()
            self.clients[address] = client  # now the last in the order
            client.end.send(data)

    def _welcome(self, address: object) -> _Client:
        if len(self.clients) >= MOST_UDP_CLIENTS:
            self._let_go(next(iter(self.clients)))
        end = socket.socket(self.family, socket.SOCK_DGRAM)
        end.setblocking(False)
        end.connect(self.target)
        self.watcher.watch(end.fileno(), READABLE, lambda _: self._answer(end, address))
        return _Client(end)

    def _answer(self, end: socket.socket, address: object) -> None:
        with suppress(OSError):  # no listener in the container (ECONNREFUSED), or a full buffer
            client = self.clients[address] = self.clients.pop(address)  # now the last in the order
            client.last_s = time.monotonic()
            self.listener.sendto(end.recv(LARGEST_DATAGRAM), address)  # type: ignore[call-overload]

    def _let_go(self, address: object) -> None:
        client = self.clients.pop(address)
        self.watcher.forget(client.end.fileno())
        client.end.close()

    def tidy(self) -> None:
        """Forget the clients that were silent for UDP_IDLE_S."""
        now = time.monotonic()
        while self.clients:
            address, client = next(iter(self.clients.items()))
            if client.last_s + UDP_IDLE_S > now:
                break
            self._let_go(address)
        self.timeout_s = UDP_IDLE_S if self.clients else None
