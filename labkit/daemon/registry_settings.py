"""`daemon.json` in the data root: what the administrator says about registries.

    {"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["10.0.0.0/8"]}

It is read each time it is needed, so nobody need restart the daemon.  Beside it lies `certs.d`,
with the certificates of authorities that are trusted for one registry: `certs.d/HOST:PORT/ca.crt`.
"""

import os

import msgspec

from labkit.errors import InvalidParameterError
from labkit.registry.client.endpoints import Settings

FILE = "daemon.json"
CERTIFICATES = "certs.d"


def read(root: str) -> Settings:
    """The settings under this data root; the defaults when the file is not there.

    Raises `InvalidParameterError` when it cannot be understood.
    """
    path = os.path.join(root, FILE)
    try:
        with open(path, "rb") as file:
            settings = msgspec.json.decode(file.read(), type=Settings)
    except FileNotFoundError:
        settings = Settings()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameterError(f"{path} cannot be read: {error}; correct it") from None
    settings.certificates = os.path.join(root, CERTIFICATES)
    return settings
