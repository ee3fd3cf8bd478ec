"""Which servers the host asks: behind systemd's own, where that says whom it asks."""

import pytest

from labkit.containers.given import etc_files


@pytest.mark.parametrize(
    ("host", "behind", "servers"),
    [
        ("nameserver 192.0.2.1", "nameserver 192.0.2.9", ("192.0.2.1",)),
        ("nameserver 127.0.0.53", "nameserver 192.0.2.9", ("192.0.2.9",)),
        ("nameserver 127.0.0.53\nnameserver 127.0.0.54", "nameserver 192.0.2.9", ("192.0.2.9",)),
        ("nameserver 127.0.0.53", "", ("127.0.0.53",)),
        ("nameserver 127.0.0.53", "search lan", ("127.0.0.53",)),
        ("nameserver 127.0.0.53\nnameserver 192.0.2.1", "x", ("127.0.0.53", "192.0.2.1")),
        ("", "nameserver 192.0.2.9", ()),
    ],
)
def test_host_resolver(monkeypatch, host, behind, servers):
    texts = {"/etc/resolv.conf": host, "/run/systemd/resolve/resolv.conf": behind}
    monkeypatch.setattr(etc_files.files, "text_of", texts.__getitem__)
    assert etc_files.host_resolver().servers == servers
