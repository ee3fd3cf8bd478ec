"""A learner's own folder with the released pages.

Pages have no outputs and no execution numbers there.  A new release replaces a page that is as it
was handed out.  A page that the learner has changed is never overwritten: it is kept as
`09_limits (yours).ipynb` beside the new one.  Running a page does not count as a change.
"""

import hashlib
import json
import os
import pwd
import shutil
from collections.abc import Iterator

import labkit
from labkit.course.handout import release
from labkit.errors import InvalidParameterError, NotFoundError

NAME = "labkit-course"
RECORD = ".released.json"
"""For each page, the digest of the version that was handed out last."""
PARTS = ("", "exercises", "demos")


def source() -> str:
    """The folder with the course's pages; NotFoundError if labkit was installed without them."""
    folder = os.path.join(os.path.dirname(os.path.dirname(labkit.__file__)), "notebooks")
    if not os.path.isdir(folder):
        raise NotFoundError("the course's pages are not installed here: use a checkout of labkit")
    return folder


def usual() -> str:
    """The folder in the caller's home, also if the caller uses sudo."""
    person = _person()
    return f"{person.pw_dir if person else os.path.expanduser('~')}/{NAME}"


def update(folder: str, pages: str = "") -> list[str]:
    """Make the folder, or update it; returns a line for each action.

    NotFoundError without pages; InvalidParameterError for the folder of the project's pages.
    """
    pages = pages or source()
    _refuse_own(folder, pages)
    os.makedirs(folder, exist_ok=True)
    released = _read_record(folder)
    said = []
    for name in _every(pages):
        digest, target = digest_of(f"{pages}/{name}"), f"{folder}/{name}"
        if os.path.exists(target):
            is_changed = digest_of(target) != released.get(name, digest)
            if released.get(name) == digest or digest_of(target) == digest:
                released[name] = digest
                continue
            if is_changed or name not in released:
                said.append(f"{name}: a new release; your page is now {_keep(target)}")
            else:
                said.append(f"{name}: a new release")
        else:
            said.append(f"{name}: new")
        _hand_out(f"{pages}/{name}", target)
        released[name] = digest
    _write_record(folder, released)
    _own(folder)
    return said


def reset(folder: str, chapter: str, pages: str = "") -> list[str]:
    """Replace a chapter and its exercises by a clean copy; returns a line for each action.

    A changed page is kept beside the copy.  NotFoundError if there is no such chapter.
    """
    pages = pages or source()
    _refuse_own(folder, pages)
    found = [name for name in _every(pages) if os.path.basename(name).startswith(f"{chapter}_")]
    if not found:
        raise NotFoundError(f"there is no page for chapter {chapter!r}: a chapter is 00 to 12")
    said = []
    released = _read_record(folder)
    for name in found:
        target, digest = f"{folder}/{name}", digest_of(f"{pages}/{name}")
        if os.path.exists(target) and digest_of(target) != digest:
            said.append(f"{name}: your page is now {_keep(target)}")
        _hand_out(f"{pages}/{name}", target)
        released[name] = digest
        said.append(f"{name}: a clean copy")
    _write_record(folder, released)
    _own(folder)
    return said


def digest_of(path: str) -> str:
    """The digest of a page's content: a notebook's cells without outputs, or the whole file."""
    if path.endswith(".ipynb"):
        try:
            cells = release.stripped(release.read(path))["cells"]
        except InvalidParameterError:
            return ""
        said = [[cell["cell_type"], cell["source"]] for cell in cells]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _every(pages: str) -> Iterator[str]:
    for part in PARTS:
        folder = f"{pages}/{part}".rstrip("/")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".ipynb") and "(yours" not in name:
                yield f"{part}/{name}".lstrip("/")


def _hand_out(page: str, target: str) -> None:
    release.write(target, release.stripped(release.read(page)))


def _keep(target: str) -> str:
    """Rename a learner's page, and return its new name."""
    stem = target.removesuffix(".ipynb")
    number = 1
    while os.path.exists(kept := f"{stem} (yours{'' if number == 1 else f' {number}'}).ipynb"):
        number += 1
    os.rename(target, kept)
    return os.path.basename(kept)


def _refuse_own(folder: str, pages: str) -> None:
    project = os.path.realpath(os.path.dirname(pages))
    if f"{os.path.realpath(folder)}/".startswith(f"{project}/"):
        raise InvalidParameterError(
            f"{folder} is inside the project: use a folder outside of it (--folder)"
        )


def _read_record(folder: str) -> dict[str, str]:
    try:
        with open(f"{folder}/{RECORD}", encoding="utf-8") as file:
            kept = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_record(folder: str, released: dict[str, str]) -> None:
    with open(f"{folder}/{RECORD}", "w", encoding="utf-8") as file:
        json.dump(released, file, indent=1)


def _person() -> pwd.struct_passwd | None:
    """The user who called sudo; None without sudo."""
    uid = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and uid.isdecimal() and uid != "0":
        try:
            return pwd.getpwuid(int(uid))
        except KeyError:
            return None
    return None


def _own(folder: str) -> None:
    """Give the folder to the user who called sudo."""
    person = _person()
    if person is None:
        return
    for place, names, files in os.walk(folder):
        for name in (".", *names, *files):
            shutil.chown(f"{place}/{name}", person.pw_uid, person.pw_gid)
