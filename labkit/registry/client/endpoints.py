"""From the domain of an image's name to the addresses where its registry may answer.

As in Docker: another host than the name says serves `docker.io`, and mirrors may precede it; a
registry is used over HTTPS with a checked certificate, unless it is insecure.  Insecure are the
registries of this machine itself and those that the settings name: there any certificate is
accepted, and plain HTTP if HTTPS fails.  An authority that this machine does not know is trusted
for one registry if its certificate is `certs.d/HOST:PORT/NAME.crt`.  The client's own certificate,
for a registry that asks for it, is `NAME.cert` there, with its key `NAME.key`.
"""

import ipaddress
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from labkit.dialect.references import DEFAULT_DOMAIN, check_domain
from labkit.errors import InvalidParameterError

DEFAULT_HOST = f"registry-1.{DEFAULT_DOMAIN}"
DEFAULT_INDEX = f"https://index.{DEFAULT_DOMAIN}"
"""The host for logins at the default registry, and for searches."""
AUTHORITY = ".crt"
"""The suffix of the file of an authority's certificate."""
OWN, OWN_KEY = ".cert", ".key"
"""The suffixes of the client's own certificate and of its key."""


class Settings(msgspec.Struct, rename="kebab"):
    """The administrator's settings for registries, in Docker's words.

    `registry_mirrors` are addresses asked before the default registry; `insecure_registries` are
    domains (`host:port`) or networks (`10.0.0.0/8`).
    """

    registry_mirrors: list[str] = msgspec.field(default_factory=list)
    insecure_registries: list[str] = msgspec.field(default_factory=list)
    certificates: str = ""
    """The folder `certs.d`; no setting of the administrator."""
    max_concurrent_downloads: int = 3
    """Layers that a pull downloads at once."""
    max_concurrent_uploads: int = 5


class Endpoint(NamedTuple):
    """One address of a registry: `https://localhost:5000`."""

    url: str
    verifies: bool = True
    is_mirror: bool = False
    authorities: tuple[str, ...] = ()
    """Files with certificates that are trusted here beside the machine's own."""
    own: tuple[tuple[str, str], ...] = ()
    """Files with the client's own certificates, and with their keys."""

    @property
    def host(self) -> str:
        """The host with its port: `localhost:5000`."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return _is_loopback(urlsplit(self.url).hostname or "")


def candidates(domain: str, settings: Settings, *, mirrors: bool = False) -> list[Endpoint]:
    """Return the addresses to try, in order; `mirrors` only to read, for they take no pushes.

    Raises `InvalidParameterError` for a domain that no host can have.
    """
    if domain == DEFAULT_DOMAIN:
        before = [_mirror(url, settings) for url in settings.registry_mirrors] if mirrors else []
        return [*before, Endpoint(f"https://{DEFAULT_HOST}")]
    check_domain(domain)
    if is_insecure(domain, settings.insecure_registries):
        return [Endpoint(f"https://{domain}", verifies=False), Endpoint(f"http://{domain}", False)]
    authorities, own = _certificates(domain, settings)
    return [Endpoint(f"https://{domain}", authorities=authorities, own=own)]


def is_insecure(domain: str, insecure: Sequence[str]) -> bool:
    """Whether a registry needs no certificate: it is this machine, or the settings name it."""
    host = urlsplit(f"//{domain}").hostname or ""
    if _is_loopback(host) or domain in insecure or host in insecure:
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        for entry in insecure:
            with suppress(ValueError):
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
    return False


def _mirror(url: str, settings: Settings) -> Endpoint:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidParameterError(
            f'"{url}" is not a registry mirror: its address is needed, such as https://mirror.example'
        )
    verifies = not is_insecure(parts.netloc, settings.insecure_registries)
    authorities, own = _certificates(parts.netloc, settings)
    return Endpoint(url.rstrip("/"), verifies, is_mirror=True, authorities=authorities, own=own)


def _certificates(
    domain: str, settings: Settings
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the authorities of `certs.d` for a registry, and the client's own certificates."""
    folder = os.path.join(settings.certificates, domain)
    try:
        names = sorted(os.listdir(folder)) if settings.certificates else []
    except OSError:
        return (), ()  # there are none for it
    paths = [os.path.join(folder, name) for name in names]
    authorities = tuple(path for path in paths if path.endswith(AUTHORITY))
    own = [path.removesuffix(OWN) for path in paths if path.endswith(OWN)]
    for path in own:
        if f"{path}{OWN_KEY}" not in paths:
            raise InvalidParameterError(
                f"{path}{OWN} has no key: put {path}{OWN_KEY} beside it. If it is an authority's "
                f"certificate, its name has to end in {AUTHORITY}"
            )
    return authorities, tuple((f"{path}{OWN}", f"{path}{OWN_KEY}") for path in own)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
