"""The corpus: `corpus/NAME.case` has a rule in words, a Dockerfile, and the context's files.

    the rule
    fails: yes                        (only if a builder must refuse it)
    flags: --build-arg A=1            (of the command; {folder} is the context's place)
    -- Dockerfile
    FROM busybox
    -- path/of/a/file 0755
    its content
    -- path/of/a/link -> where it leads
    -- name.tar tar                   (an archive with a file and a link; `tgz`: compressed)

`answers.json` is what docker's classic builder made of each, that of dockerd 20.10 and of 26.1
alike, `buildkit.json` what the BuildKit of 26.1 made, `buildah-VERSION.json` what that buildah did.
`python -m tests.build.record` asks again.

`tests/dockerfiles` has more, of what only BuildKit knows.
"""

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from labkit.cli.archives import build_context
from labkit.images.base.recipe import LABEL
from tests.buildkit import Client
from tests.lab import UnixConnection

FOLDER = Path(__file__).parent
ANSWERS = FOLDER / "answers.json"
BUILDKIT_ANSWERS = FOLDER / "buildkit.json"
TIMEOUT_S = 60.0
MADE_BY_ENGINES = re.compile(
    r"\.dockerenv|(?:dev|proc|sys)(?:/.*)?|etc(?:/(?:hostname|hosts|resolv\.conf|mtab))?"
)
"""What an engine puts into a container whatever its image is."""
CONFIG = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
    *("StopSignal", "Healthcheck", "OnBuild", "Shell"),
)

Answer = dict[str, Any]


class Case(NamedTuple):
    """One rule."""

    name: str
    rule: str
    fails: bool
    parts: Mapping[str, str]
    """What follows each `-- `, by that line."""
    flags: str = ""
    """Options of the build command."""


def cases(folder: Path = FOLDER / "corpus") -> list[Case]:
    """All of them, by name."""
    return [_read(path) for path in sorted(folder.glob("*.case"))]


def _read(path: Path) -> Case:
    head, *parts = re.split(r"^-- ", path.read_bytes().decode(), flags=re.MULTILINE)
    rule, _, rest = head.partition("\n")
    found = dict(part.partition("\n")[::2] for part in parts)
    flags = re.search(r"^flags: (.*)$", rest, flags=re.MULTILINE)
    return Case(path.stem, rule, "fails: yes" in rest, found, flags[1] if flags else "")


def write_context(case: Case, folder: Path) -> None:
    """Make the context's files."""
    for line, content in case.parts.items():
        words = line.split(" ")
        if len(words) > 2 and words[-2] == "->":
            path = folder / " ".join(words[:-2])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(words[-1])
            continue
        is_mode = re.fullmatch(r"[0-7]{4}", words[-1])
        special = words[-1] if words[-1] in ("tar", "tgz") and len(words) > 1 else ""
        path = folder / (" ".join(words[:-1]) if is_mode or special else line)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_archive(special) if special else content.encode())
        path.chmod(int(words[-1], 8) if is_mode else 0o644)
    for found in folder.rglob("*"):
        if found.is_dir() and not found.is_symlink():
            found.chmod(0o755)


def _archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tgz" else "w") as archive:
        folder = tarfile.TarInfo("inner")
        folder.type, folder.mode, folder.uid = tarfile.DIRTYPE, 0o750, 7
        archive.addfile(folder)
        file = tarfile.TarInfo("inner/file")
        file.size, file.mode, file.gid = 2, 0o640, 8
        archive.addfile(file, io.BytesIO(b"x\n"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "inner/file"
        archive.addfile(link)
    return buffer.getvalue()


class Builder:
    """A daemon that speaks Docker's API, asked to build."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._base = self._files("busybox")

    def answer(self, folder: Path) -> Answer:
        """What it makes of a context: files and config, or that it refused."""
        sent = build_context.of_folder(str(folder), "")
        stream = self._ask("POST", "/build?nocache=1", sent.pieces, "application/x-tar")
        events = [json.loads(line) for line in stream.splitlines() if line.strip()]
        if any("errorDetail" in event or "message" in event for event in events):
            return {"fails": True}
        *_, image_id = [event["aux"]["ID"] for event in events if "aux" in event]
        return self.describe(image_id)

    def answer_by(self, client: Client, folder: Path, more: str = "") -> Answer:
        """What it makes of a context that a client with buildx brings; RUN has no network.

        `more` are a case's flags.
        """
        with tempfile.TemporaryDirectory() as place:
            flags = ["--no-cache", "--network", "none", "--iidfile", f"{place}/id"]
            flags += more.replace("{folder}", str(folder)).split()
            done = client.docker("build", *flags, str(folder), code=None)
            if done.returncode:
                return {"fails": True}
            return self.describe(Path(place, "id").read_text())

    def describe(self, image_id: str) -> Answer:
        """An image's files as far as they are not busybox's, and its config."""
        files = self._files(image_id)
        shown = json.loads(self._ask("GET", f"/images/{image_id}/json"))
        changed = {path: look for path, look in files.items() if self._base.get(path) != look}
        config = {name: shown["Config"].get(name) for name in CONFIG}
        if LABEL in (config["Labels"] or {}):
            config["Labels"][LABEL] = "busybox"  # each system's has another digest
        return {
            "files": changed,
            "gone": sorted(self._gone(files)),
            "config": {name: value for name, value in config.items() if value},
            "author": shown.get("Author", ""),
        }

    def _gone(self, files: dict[str, list[Any]]) -> set[str]:
        """The files of busybox that are not in these; all of /bin in one word.

        The busybox of each system has other applets.
        """
        gone = self._base.keys() - files.keys()
        programs = {path for path in self._base if path.startswith("bin/")}
        return gone - programs | {"bin/*"} if programs <= gone else gone

    def _files(self, image: str) -> dict[str, list[Any]]:
        """Every file of an image as the engine exports it."""
        body = json.dumps({"Image": image, "Cmd": ["/none"], "Entrypoint": []}).encode()
        made = json.loads(self._ask("POST", "/containers/create", [body], "application/json"))
        path = f"/containers/{made['Id']}"
        try:
            data = self._ask("GET", f"{path}/export")
        finally:
            self._ask("DELETE", f"{path}?force=1&v=1")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = {m.name.rstrip("/"): _look(archive, m) for m in archive}
        return {name: look for name, look in found.items() if not _is_engines(name)}

    def _ask(self, method: str, path: str, body: Any = None, content_type: str = "") -> bytes:
        connection = UnixConnection(self._socket_path, TIMEOUT_S)
        try:
            headers = {"Content-Type": content_type} if content_type else {}
            connection.request(method, path, body and b"".join(body), headers)
            return connection.getresponse().read()
        finally:
            connection.close()


def _is_engines(name: str) -> bool:
    return name in ("", ".") or MADE_BY_ENGINES.fullmatch(name) is not None


def _look(archive: tarfile.TarFile, member: tarfile.TarInfo) -> list[Any]:
    """Kind, mode, owner, and what it holds or leads to; extended attributes."""
    content = member.linkname
    if member.isreg():
        content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()  # type: ignore[union-attr]
    kind = "link" if member.issym() else "hard" if member.islnk() else member.type.decode()
    mode = 0o777 if member.issym() else member.mode & 0o7777
    attributes = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
    return [kind, oct(mode), member.uid, member.gid, content, attributes]


def buildah_answers() -> dict[str, Path]:
    """The files with what buildah did, by its versions (`1.39`)."""
    paths = sorted(FOLDER.glob("buildah-*.json"))
    return {path.stem.removeprefix("buildah-"): path for path in paths}


def answers(path: Path = ANSWERS) -> dict[str, Answer]:
    """The recorded ones, by the cases' names."""
    found: dict[str, Answer] = json.loads(path.read_text())
    return found
