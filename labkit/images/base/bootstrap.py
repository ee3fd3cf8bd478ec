"""mmdebstrap: a root file system from a distribution's packages, as a tar stream."""

import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import IO, NamedTuple

from labkit.images.base.recipe import BaseImageError, Progress

MERGED_USR_HOOK = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
WORK_FOLDER = "/var/tmp"  # noqa: S108 - 300 MB for half a minute, and /tmp may be memory

LEFT_OUT = ("man/*", "info/*", "locale/*", "doc/*", "lintian/*")
KEPT = ("doc/*/copyright",)

FINISH = """
cd "$1"
rm -rf var/log/* var/cache/debconf/*-old var/lib/dpkg/*-old etc/.pwd.lock
rm -f etc/hostname etc/hosts etc/resolv.conf
umask 022
: > etc/hostname
: > etc/hosts
: > etc/resolv.conf
"""
"""Removes what no image needs; the three files that are mounted over are not this machine's."""

STAGES = {
    "running apt-get update": "reading the lists of packages",
    "running --setup-hook": "reading the lists of packages",  # the hook for a merged /usr does it
    "downloading packages": "downloading packages",
    "extracting archives": "extracting the essential ones",
    "installing essential packages": "installing them",
    "installing remaining packages": "installing the others",
    "creating tarball": "packing",
}
"""mmdebstrap's message when a part begins, and the text for people."""

LIST_SOURCES = (
    *("apt-get", "indextargets", "Created-By: Packages"),
    *("--format", "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT) $(ORIGIN)"),
)
MIRROR_LIST = "mirror+file:"


class System(NamedTuple):
    """The system to make: a release; from this machine's sources if it is the machine's own."""

    distribution: str
    suite: str
    is_this_machine: bool


class Bootstrap:
    """A running mmdebstrap; `read` returns the archive, whose end means that it succeeded."""

    def __init__(self, system: System, newest: datetime, progress: Progress) -> None:
        environment = os.environ | {
            "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": str(int(newest.timestamp())),
            "TMPDIR": WORK_FOLDER,
        }
        try:
            self._process = subprocess.Popen(
                command(system, machine_sources(system)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
        except FileNotFoundError:
            raise BaseImageError("no program mmdebstrap: apt-get install mmdebstrap") from None
        self._complaints: list[str] = []
        self._follower = threading.Thread(
            target=self._follow, args=(self._process.stderr, progress), daemon=True
        )
        self._follower.start()

    def read(self, size: int) -> bytes:
        """Return the next bytes of the archive.  Raises `BaseImageError` if the program failed."""
        data: bytes = self._process.stdout.read(size)  # type: ignore[union-attr]
        if not data and self._process.wait():
            self._follower.join()
            raise BaseImageError(f"mmdebstrap failed: {self._reason()}")
        return data

    def close(self) -> None:
        """End the program if it still runs, and wait until it has cleaned up."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.wait()
        self._follower.join()

    def _follow(self, messages: IO[bytes], progress: Progress) -> None:
        with messages:
            for line in messages:
                text = line.decode(errors="replace").strip()
                for stage, words in STAGES.items():
                    if text.startswith(f"I: {stage}"):
                        progress(words)
                if text.startswith(("E: ", "W: Failed to fetch")):
                    self._complaints.append(text[3:])

    def _reason(self) -> str:
        """Return the first complaint, which is apt's; the later ones only say that it failed."""
        return self._complaints[0] if self._complaints else f"exit {self._process.returncode}"


def command(system: System, sources: tuple[str, ...]) -> list[str]:
    """Return mmdebstrap's arguments for a small image of this system (mmdebstrap(1))."""
    options = [
        "--variant=minbase",
        "--mode=root",
        "--format=tar",
        "--skip=output/dev",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in LEFT_OUT),
        *(f"--dpkgopt=path-include=/usr/share/{pattern}" for pattern in KEPT),
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::http::Timeout "20"',
        f"--customize-hook={FINISH}",
    ]
    if os.path.isdir(MERGED_USR_HOOK):  # else the package usrmerge installs all of Perl
        options.append(f"--hook-dir={MERGED_USR_HOOK}")
    return ["mmdebstrap", *options, system.suite, "-", *sources]


def machine_sources(system: System) -> tuple[str, ...]:
    """Return this machine's package sources, in apt's one-line format.

    Nothing for another system: mmdebstrap then uses its own default for the release.
    """
    if not system.is_this_machine:
        return ()
    listed = subprocess.run(LIST_SOURCES, check=True, capture_output=True, text=True)
    return tuple(sources_from(listed.stdout, system))


def sources_from(listed: str, system: System) -> Iterator[str]:
    """Yield the lines of `LIST_SOURCES` of the distribution itself, one for each release.

    Others (a vendor's repository) have another origin; before `apt-get update` none is known.
    """
    components: dict[tuple[str, str], list[str]] = {}
    wanted = [system.suite + part for part in ("", "-updates", "-security")]
    for line in listed.splitlines():
        uri, release, codename, component, origin = f"{line} ".split(" ", 5)[:5]
        if origin.lower() in (system.distribution, "") and (
            release in wanted or codename in wanted
        ):
            components.setdefault((_plain_uri(uri), release), []).append(component)
    for (uri, release), names in components.items():
        yield f"deb {uri} {release} {' '.join(dict.fromkeys(names))}"


def _plain_uri(uri: str) -> str:
    """Return the first mirror of a mirror list: the list itself is a file of this machine."""
    if not uri.startswith(MIRROR_LIST):
        return uri
    with open(uri.removeprefix(MIRROR_LIST), encoding="utf-8") as file:
        return file.readline().split()[0]
