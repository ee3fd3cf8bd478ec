"""Authorities and what they have signed, as users make them with openssl(1) alone."""

import subprocess
from pathlib import Path

_NEW = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def new_authority(folder: Path, name: str, *, usage: str = "") -> Path:
    """Make `NAME.pem` and `NAME.key`, signed by itself; `usage` is its extension keyUsage."""
    added = ("-addext", f"keyUsage={usage}") if usage else ()
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    _openssl(folder, *_NEW, "-x509", *files, *added)
    return folder / f"{name}.pem"


def signed(folder: Path, by: str, name: str, extensions: str) -> Path:
    """Make `NAME.pem` and `NAME.key`, signed by an authority in the same folder.

    `extensions` is a line of openssl's configuration, x509v3_config(5).
    """
    Path(folder, f"{name}.extensions").write_text(extensions)
    request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    _openssl(folder, *_NEW, *request)
    authority = ("-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial")
    files = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.extensions")
    _openssl(folder, "x509", "-req", *authority, *files)
    return folder / f"{name}.pem"


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)
