"""A certificate for the lab, signed by itself; openssl(1) makes it."""

import ipaddress
import os
import socket
import subprocess
import sys

from labkit.errors import InvalidParameterError

DAYS = 825


def self_signed(folder: str, host: str) -> tuple[str, str]:
    """Return the paths of a certificate and its key in `folder`, made unless they exist.

    It is valid for `localhost`, the loopback addresses, this machine's name, and `host`.
    """
    certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    if not (os.path.exists(certificate) and os.path.exists(key)):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _make(certificate, key, _names(host))
    print(
        f"labkit registry: its certificate is {certificate}; docker trusts it as "
        "/etc/docker/certs.d/HOST:PORT/ca.crt, podman and skopeo with --cert-dir"
    )
    sys.stdout.flush()
    return certificate, key


def _names(host: str) -> str:
    names = ["DNS:localhost", f"DNS:{socket.gethostname()}", "IP:127.0.0.1", "IP:::1"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.append(f"DNS:{host}")
    else:
        if not address.is_unspecified:
            names.append(f"IP:{address}")
    return ",".join(dict.fromkeys(names))


def _make(certificate: str, key: str, names: str) -> None:
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", str(DAYS), "-subj", "/CN=labkit registry"),
        *("-addext", f"subjectAltName={names}"),
        *("-keyout", f"{key}.tmp", "-out", f"{certificate}.tmp"),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, umask=0o077)
    except FileNotFoundError:
        raise InvalidParameterError(
            "--tls-self-signed needs the program openssl: apt-get install openssl"
        ) from None
    except subprocess.CalledProcessError as error:
        raise InvalidParameterError(f"openssl made no certificate: {error.stderr}") from None
    os.rename(f"{key}.tmp", key)
    os.rename(f"{certificate}.tmp", certificate)
