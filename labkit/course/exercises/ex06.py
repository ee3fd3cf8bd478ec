"""Exercises of chapter 6: images.  The judge compares ids, digests and archives."""

import hashlib
import io
import json
import os
import tarfile
import zlib

from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson, TooLargeError
from labkit.course.exercises.looks import folders, images
from labkit.course.exercises.place import Place
from labkit.images.chains import chain_ids

ARCHIVE_BYTES = 32 << 20
"""The most bytes of the archive, and of each of its members, unpacked."""
BLOBS = 6

_CONFIG = Lesson(
    "An image's id is the digest of its configuration, a file in JSON.",
    "chapter 6, section Digests, by hand",
    "the configuration in an archive of the image, and the id that the engine lists in full",
)
_CHAIN = Lesson(
    "A chain id names a layer with all below it: the digest of the chain id below, a space, and "
    "the layer's own digest, as text.",
    "chapter 6, section Digests, by hand",
    "RootFS.Layers in the engine's record of the image, the lowest layer first",
)
_NAME = Lesson(
    "A name points at one image; giving the name to another image changes neither of the two.",
    "chapter 6, section A tag moves, a digest does not",
    "the ids of both names, before and after",
)
_KEPT = Lesson(
    "An image with no name left is hard to find again: name it before its name moves.",
    "chapter 6, section A name is a label on a box",
    "the images without a name, and the list of all names with their ids",
)
_FREE = Lesson(
    "The disk is freed with an image's last name, and only if no container is made from it.",
    "chapter 6, section A name is a label on a box",
    "all names with the same id, and the containers, stopped ones too",
)
_WHOLE = Lesson(
    "An archive of an image has its configuration and its layers; an archive of a container's "
    "files has neither.",
    "chapter 6, section Digests, by hand",
    "the member manifest.json of the archive",
)
_CHANGED = Lesson(
    "A blob is named by the digest of its content: after one changed byte the name is wrong.",
    "chapter 6, section Digests, by hand",
    "the SHA-256 of each file, beside the file's name",
)


def _tidy_images(place: Place, values: Values) -> None:
    images.remove(place, values)
    if "file" in values:
        folders.remove(place, values.file)


def _draw_digests(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("tower"), "file": f"digests-{dice.mark}", "word": dice.word()}


def _scene_digests(place: Place, values: Values) -> Memo:
    images.make(place, values, values.image, {"first": values.word.encode()})
    images.make(place, values, values.image, {"second": values.mark.encode()}, values.image)
    attrs = place.image(values.image) or {}
    return {"id": attrs["Id"], "chain": chain_ids(attrs["RootFS"]["Layers"])[-1]}


def _judge_digests(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    text = (place.read_file(values.file, 4096) or b"").decode("utf-8", "replace")
    said = dict(line.split()[:2] for line in text.splitlines() if len(line.split()) >= 2)
    # The expected value is the answer: a hint does not give it.
    for name, wanted, points, lesson in (
        ("id", "the digest of its configuration", 2, _CONFIG),
        ("chain", "the digest of the whole stack", 5, _CHAIN),
    ):
        is_met = name in said and said[name] == memo.get(name)
        shown = said.get(name, "no such line")[:24]
        found.add(f"the line {name}", wanted, shown, points, lesson, met=is_met)
    return found.all


def _draw_moved(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("page"), "word": dice.word(), "other": dice.word()}


def _scene_moved(place: Place, values: Values) -> Memo:
    old = images.make(place, values, f"{values.image}:stable", {"page": values.word.encode()})
    new = images.make(place, values, f"{values.image}:next", {"page": values.mark.encode()})
    return {"old": old, "new": new}


def _judge_moved(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    called = {memo.get("old"): "the old image", memo.get("new"): "the new image"}

    def shown(tag: str) -> str:
        attrs = place.image(f"{values.image}:{tag}")
        return "no image" if attrs is None else called.get(attrs["Id"], "another image")

    names = f"the name {values.image}:"
    is_moved = found.add(f"{names}stable", "the new image", shown("stable"), 3, _NAME)
    text = shown("previous")
    is_kept = is_moved and text == "the old image"
    found.add(f"{names}previous", "the old image", text, 3, _KEPT, met=is_kept)
    return found.all


def _draw_freed(dice: Dice) -> dict[str, object]:
    names = {name: dice.name(name) for name in ("heavy", "alias", "light")}
    return {**names, "holder": dice.name(dice.word())}


def _scene_freed(place: Place, values: Values) -> Memo:
    noise = os.urandom(1 << 20)
    heavy = images.make(place, values, values.heavy, {"noise": noise})
    light = images.make(place, values, values.light, {"word": values.mark.encode()})
    place.client.images.tag(values.heavy, values.alias, "kept")
    place.client.containers.create(values.heavy, ["true"], name=values.holder)
    return {"heavy": heavy, "light": light}


def _judge_freed(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    attrs = place.image(memo.get("heavy", values.heavy))
    names = [] if attrs is None else attrs.get("RepoTags") or []
    text = "removed" if attrs is None else f"there, with {len(names)} names"
    is_free = found.add(f"the image that was {values.heavy}", "removed", text, 4, _FREE)
    light = place.image(values.light)
    is_there = light is not None and light["Id"] == memo.get("light")
    text = "there" if is_there else "removed"
    found.add(f"the image {values.light}", "there", text, 2, _FREE, met=is_free and is_there)
    return found.all


def _draw_carried(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("parcel"), "file": f"parcel-{dice.mark}.tar", "word": dice.word()}


def _scene_carried(place: Place, values: Values) -> Memo:
    made = images.make(place, values, values.image, {"letter": values.word.encode()})
    attrs = place.image(values.image) or {}
    return {"id": made, "layers": attrs["RootFS"]["Layers"]}


def _judge_carried(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    data = place.read_file(values.file, ARCHIVE_BYTES + 1)
    if data is not None and len(data) > ARCHIVE_BYTES:
        raise TooLargeError(f"a file of more than {ARCHIVE_BYTES >> 20} MiB")
    what = f"the archive {values.file}"
    wanted = f"the image {values.image}, whole"
    text = "there is no such file" if data is None else _content(data, memo)
    is_whole = found.add(what, wanted, text if text != "whole" else wanted, 4, _WHOLE)
    text = "removed" if place.image(memo.get("id", values.image)) is None else "still there"
    is_met = is_whole and text == "removed"
    found.add("the image in the engine", "removed", text, 2, _FREE, met=is_met)
    return found.all


def _content(data: bytes, memo: Memo) -> str:
    """Describe an archive: "whole" if it is the image that the scene has made."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            if "manifest.json" not in tar.getnames():
                return "files, and no image"
            for entry in json.loads(_member(tar, "manifest.json")):
                if _digest(_member(tar, entry["Config"])) != memo["id"]:
                    continue
                layers = [_digest(_plain(_member(tar, name))) for name in entry["Layers"]]
                return "whole" if layers == memo["layers"] else "an image with changed layers"
    except (tarfile.TarError, KeyError, TypeError, ValueError, OSError, zlib.error):
        return "no archive that can be read"
    return "another image"


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    return file.read(ARCHIVE_BYTES) if file else b""  # a sparse member can claim any size


def _plain(data: bytes) -> bytes:
    return images.unpacked(data, ARCHIVE_BYTES) if data.startswith(images.GZIP) else data


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _draw_changed(dice: Dice) -> dict[str, object]:
    return {"file": f"blobs-{dice.mark}", "count": BLOBS}


def _scene_changed(place: Place, values: Values) -> Memo:
    blobs = [os.urandom(4096) for _ in range(BLOBS)]
    files = {hashlib.sha256(data).hexdigest(): data for data in blobs}
    bad = sorted(files)[sum(values.mark.encode()) % BLOBS]
    files[bad] = files[bad][:2000] + bytes([files[bad][2000] ^ 1]) + files[bad][2001:]
    folders.write(place, {f"{values.file}/{name}": data for name, data in files.items()})
    return {"bad": bad, "good": sorted(set(files) - {bad})}


def _judge_changed(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    bad, good = memo.get("bad", ""), memo.get("good", [])
    left = place.read_file(f"{values.file}/{bad}") is not None
    text = "still there" if left or not bad else "removed"
    is_gone = found.add("the blob with a changed byte", "removed", text, 3, _CHANGED)
    kept = [
        name
        for name in good
        if hashlib.sha256(place.read_file(f"{values.file}/{name}") or b"").hexdigest() == name
    ]
    wanted, text = f"{BLOBS - 1} unchanged", f"{len(kept)} unchanged"
    is_met = is_gone and text == wanted
    found.add("the other blobs", wanted, text, 3, _CHANGED, met=is_met)
    return found.all


EXERCISES = (
    Exercise(
        "06.1",
        "Digests by hand",
        "The image `{image}` has two layers more than busybox.  Write a file `{file}` in your "
        "folder (`{folder}`) with two lines: `id`, a space and the image's full id; `chain`, a "
        "space and the chain id of its topmost layer.  Both begin with `sha256:`.",
        7,
        _draw_digests,
        _judge_digests,
        _scene_digests,
        _tidy_images,
    ),
    Exercise(
        "06.2",
        "A name moves",
        "There are two images, `{image}:stable` and `{image}:next`.  Let the name "
        "`{image}:stable` mean the new one, and keep the image that had this name as "
        "`{image}:previous`.",
        6,
        _draw_moved,
        _judge_moved,
        _scene_moved,
        _tidy_images,
    ),
    Exercise(
        "06.3",
        "Free the disk",
        "The image `{heavy}` takes space on the disk.  Remove it, so that the space is free.  The "
        "image `{light}` stays.",
        6,
        _draw_freed,
        _judge_freed,
        _scene_freed,
        _tidy_images,
    ),
    Exercise(
        "06.4",
        "Carried in a file",
        "Put the image `{image}` into an archive `{file}` in your folder (`{folder}`), from which "
        "another engine could load it with the same id.  Then remove it from this engine.",
        6,
        _draw_carried,
        _judge_carried,
        _scene_carried,
        _tidy_images,
    ),
    Exercise(
        "06.5",
        "One changed byte",
        "In your folder (`{folder}`), `{file}` has {count} blobs, each named by its digest.  In "
        "one of them a byte has changed.  Remove this one, and leave the others as they are.",
        6,
        _draw_changed,
        _judge_changed,
        _scene_changed,
        _tidy_images,
    ),
)
