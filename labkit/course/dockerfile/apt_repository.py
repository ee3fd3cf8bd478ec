"""A package repository for one page: `apt-get` reads it over HTTP; each package is one script.

It is the simplest kind, one folder with an index (sources.list(5), "flat" repositories;
deb-control(5) for the index's fields).  The packages are real: `dpkg-deb` makes them.
"""

import hashlib
import subprocess
import tempfile
import weakref
from pathlib import Path

from labkit.course.page.scratch import scratch
from labkit.course.page.web_folder import WebFolder

INDEX = "Packages"


class AptRepository:
    """A running server on a free port of 127.0.0.1, with its packages.

    `source` is its line for `sources.list`.  It ends with `close`, with the last reference to it,
    or with this process.
    """

    def __init__(self) -> None:
        self._folder = scratch("apt")
        self._files = Path(self._folder.name, "served")
        self._files.mkdir()
        self._paragraphs: dict[str, str] = {}
        server = WebFolder(str(self._files))
        self.source = f"deb [trusted=yes] {server.url} ./"
        self._write_index()
        self._end = weakref.finalize(self, _end, server, self._folder)

    def publish(self, name: str, version: str) -> None:
        """Add a version of a package, a program that prints it; the index names only the newest.

        subprocess.CalledProcessError if `dpkg-deb` cannot make it.
        """
        fields = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            f"Maintainer: the page\nDescription: tells its version\n"
        )
        file = f"{name}_{version}_all.deb"
        with tempfile.TemporaryDirectory(dir=self._folder.name) as tree:
            program = Path(tree, "usr/bin", name)
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\necho {name} {version}\n")
            program.chmod(0o755)
            Path(tree, "DEBIAN").mkdir()
            Path(tree, "DEBIAN/control").write_text(fields)
            Path(tree).chmod(0o755)
            subprocess.run(
                ["dpkg-deb", "--build", "--root-owner-group", tree, str(self._files / file)],
                check=True,
                capture_output=True,
            )
        data = (self._files / file).read_bytes()
        self._paragraphs[name] = (
            f"{fields}Filename: ./{file}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        self._write_index()

    def tidy(self) -> None:
        """Delete the packages that the index does not name, as real archives do after a while."""
        index = (self._files / INDEX).read_text()
        for file in self._files.glob("*.deb"):
            if f"Filename: ./{file.name}\n" not in index:
                file.unlink()

    def _write_index(self) -> None:
        (self._files / INDEX).write_text("\n".join(self._paragraphs.values()))

    def close(self) -> None:
        """Stop the server and remove its files; a second call is no error."""
        self._end()


def _end(server: WebFolder, folder: "tempfile.TemporaryDirectory[str]") -> None:
    server.close()
    folder.cleanup()
