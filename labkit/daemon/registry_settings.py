"""`daemon.json` in the data root: what the administrator says about registries.

    {"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["10.0.0.0/8"]}

It is read each time it is needed, so nobody need restart the daemon.  Beside it lies `certs.d`,
with the certificates of authorities that are trusted for one registry: `certs.d/HOST:PORT/ca.crt`.
"""

import os

from labkit.daemon import daemon_json
from labkit.registry.client.endpoints import Settings

CERTIFICATES = "certs.d"


def read(root: str) -> Settings:
    """The settings under this data root; the defaults when the file is not there.

    Raises `InvalidParameterError` when it cannot be understood.
    """
    settings = daemon_json.read(root, Settings)
    settings.certificates = os.path.join(root, CERTIFICATES)
    return settings
