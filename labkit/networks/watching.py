"""Watching changes to the host's network: firewalls start and stop while containers run.

A thread waits for the kernel's notices.  Legacy iptables causes none, so while it has tables they
are checked from time to time.
"""

import os
import select
import threading
import time
from collections.abc import Callable

from labkit.kernel.network import notices
from labkit.kernel.network.notices import Notice
from labkit.log import LABKITD
from labkit.networks.passage import iptables

SETTLE_S = 0.05
"""A firewall that starts makes many changes: wait until there was none for this time."""
LONGEST_SETTLE_S = 1.0
"""… or until changes have gone on for this time."""
LOOK_AT_LEGACY_S = 2.0


class Watcher:
    """Calls `look` when rules, forwarding or addresses have changed, until `close`."""

    def __init__(
        self, own_table: str, is_opened: Callable[[int], bool], look: Callable[[], None]
    ) -> None:
        """`is_opened`: whether labkit has turned on forwarding for the link with a number."""
        self._own_table = own_table
        self._is_opened = is_opened
        self._look = look
        self._sockets = [notices.of_links(), notices.of_rules()]
        self._over, self._end = os.pipe()
        threading.Thread(target=self._watch, name="watch-firewalls", daemon=True).start()

    def close(self) -> None:
        """Stop watching.  This does not wait for the thread: `look` may wait for the caller."""
        os.close(self._end)

    def _watch(self) -> None:
        waiting = select.poll()  # select(2) knows no descriptor above 1023
        for each in (*(listening.fileno() for listening in self._sockets), self._over):
            waiting.register(each, select.POLLIN)
        while True:
            is_legacy = any(map(iptables.legacy_tables, (4, 6)))
            ready = [fd for fd, _ in waiting.poll(LOOK_AT_LEGACY_S * 1000)]
            if self._over in ready:
                break
            if (ready and self._is_news()) or (not ready and is_legacy):
                self._settle()
                self._look_safely()
        for listening in self._sockets:
            listening.close()
        os.close(self._over)

    def _settle(self) -> None:
        deadline = time.monotonic() + LONGEST_SETTLE_S
        news = select.poll()
        for each in self._sockets:
            news.register(each, select.POLLIN)
        while time.monotonic() < deadline and news.poll(SETTLE_S * 1000):
            self._is_news()

    def _look_safely(self) -> None:
        try:
            self._look()
        except Exception as error:  # the thread must go on waiting for notices
            LABKITD.line(f"cannot check the rules of networks: {error}")

    def _is_news(self) -> bool:
        found = False
        for listening in self._sockets:
            try:
                arrived = list(notices.receive(listening))
                found |= any(map(self._concerns, arrived)) or self._is_own_table_gone(arrived)
            except OSError:  # ENOBUFS: some notices did not fit in the socket and were lost
                found = True
        return found

    def _is_own_table_gone(self, arrived: list[Notice]) -> bool:
        """Whether another program removed labkit's own table; labkit itself only replaces it."""
        own = [notice.is_gone for notice in arrived if notice.table == self._own_table]
        return bool(own) and own[-1]

    def _concerns(self, notice: Notice) -> bool:
        if notice.what == "rules":
            return notice.table != self._own_table
        if notice.what == "forwarding":
            return notice.link < 0 or self._is_opened(notice.link)
        return True
