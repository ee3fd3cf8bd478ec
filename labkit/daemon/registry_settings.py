"""The administrator's settings for registries (labkit.daemon.settings).

    {"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["10.0.0.0/8"]}

It is read whenever it is needed, so a change needs no restart of the daemon.  The folder `certs.d`
beside `daemon.json` has certificates of authorities that are trusted for one registry:
`certs.d/HOST:PORT/ca.crt`.
"""

import os

from labkit.daemon import settings
from labkit.registry.client.endpoints import Settings

CERTIFICATES = "certs.d"


def read(root: str) -> Settings:
    """The settings for the engine with this data root; InvalidParameterError."""
    said = settings.current(root)
    return Settings(
        said.registry_mirrors,
        said.insecure_registries,
        os.path.join(root, CERTIFICATES),
        said.max_concurrent_downloads,
        said.max_concurrent_uploads,
    )
