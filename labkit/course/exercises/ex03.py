"""Exercises of chapter 3: layers.  The judge reads trees, blobs, marks of overlayfs, and mounts."""

import os
import stat
from contextlib import suppress

from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import contexts, folders, images, missed, trials
from labkit.course.exercises.place import Place
from labkit.errors import NotFoundError
from labkit.kernel.mounts import parse_mountinfo

MIB = 1 << 20
_SHRINK = Lesson(
    "A file that an upper layer removes is still in the layer below, with all its bytes.",
    "chapter 3, section What a deleted file leaves",
    "the sizes in the history of both images",
)
_TREE = Lesson(
    "The files of an image are what its layers show together.",
    "chapter 3, section A stack of layers",
    "the two lists of files, one beside the other",
)
_SECRET = Lesson(
    "A layer is never changed afterwards: a file that was written in one can still be read.",
    "chapter 3, section What a deleted file leaves",
    "every blob of the saved image, not only the files that a container shows",
)
_WHITEOUT = Lesson(
    "overlayfs marks a removed file with a character device of the numbers 0 and 0.",
    "chapter 3, section What a deleted file leaves",
    "the kind of the file in the upper folder, and its device numbers",
)
_OPAQUE = Lesson(
    "An attribute of a folder hides the files of the same folder in the layers below.",
    "chapter 3, section What a deleted file leaves",
    "the attributes of the folder: trusted.overlay.opaque, or user.overlay.opaque without root",
)
_UNION = Lesson(
    "A union has lower folders, of which the first named is on top, and one folder to write in.",
    "chapter 3, section What a union is worth",
    "the line of your union in /proc/self/mountinfo, and its options",
)
_RECIPE = Lesson(
    "A Dockerfile says how an image is made; a committed image only has the result.",
    "chapter 3, section Commit against build",
    "the files that the committed image adds, changes and removes, with owners and rights",
)
_DIFF = Lesson(
    "A container writes into its own layer: that has the added, changed and removed files.",
    "chapter 3, section Its own layer",
    "the list of what the container has changed",
)


def _write_and_remove(place: Place, image: str, files: dict[str, bytes], *removed: str) -> None:
    """An image with one layer that writes files, and one above it that removes some of them."""
    client = place.client
    name, _, tag = image.partition(":")
    mark = name.rpartition("-")[2]
    first = client.containers.create("busybox", ["true"], name=f"scene-{mark}")
    first.put_archive("/", trials.archive(files))
    below = first.commit(name, "below")
    first.remove(force=True)
    second = client.containers.create(
        below.id, ["rm", "-f", *(f"/{path}" for path in removed)], name=f"scene-{mark}"
    )
    second.start()
    second.wait()
    second.commit(name, tag or "latest")
    second.remove(force=True)


def _draw_shrink(dice: Dice) -> dict[str, object]:
    return {
        "big": dice.name("big"),
        "small": dice.name("small"),
        "kept": dice.word(),
        "size": dice.randrange(3, 8),
    }


def _scene_shrink(place: Place, values: Values) -> Memo:
    # Random bytes: the kernel and archives would keep zeros in almost no space.
    noise = os.urandom(values.size * MIB)
    files = {f"srv/{values.kept}": b"keep me\n", "srv/ballast": noise}
    _write_and_remove(place, values.big, files, "srv/ballast")
    return {"size": images.size_bytes(place.client, "busybox")}


def _judge_shrink(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    most = int(memo["size"]) + MIB // 4
    tree, size = f"the files of {values.small}", f"the size of {values.small}"
    small = place.image(values.small)
    if small is None:
        found.add(tree, f"those of {values.big}", "no such image", 3, _TREE, met=False)
        return missed(found, (size, f"at most {most / MIB:.1f} MiB", 3, _SHRINK))
    ours = images.files(place.client, values.small)
    theirs = images.files(place.client, values.big)
    differ = sorted(p for p in ours.keys() | theirs.keys() if ours.get(p) != theirs.get(p))
    text = f"different at /{differ[0]}" if differ else f"those of {values.big}"
    is_same = found.add(tree, f"those of {values.big}", text, 3, _TREE)
    is_small = (got := images.size_bytes(place.client, values.small)) <= most
    text, wanted = f"{got / MIB:.1f} MiB", f"at most {most / MIB:.1f} MiB"
    found.add(size, wanted, text, 3, _SHRINK, met=is_same and is_small)
    return found.all


def _draw_secret(dice: Dice) -> dict[str, object]:
    return {
        "leaky": dice.name("leaky"),
        "clean": dice.name("clean"),
        "app": dice.word(),
        "secret": f"key-{dice.randrange(10**11, 10**12)}",
    }


def _scene_secret(place: Place, values: Values) -> Memo:
    files = {f"srv/{values.app}": b"the program\n", "srv/key": values.secret.encode()}
    _write_and_remove(place, values.leaky, files, "srv/key")
    return {}


def _judge_secret(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    tree, leak = f"the file /srv/{values.app} of {values.clean}", "where the secret can be read"
    if place.image(values.clean) is None:
        found.add(tree, "there", "no such image", 2, _TREE, met=False)
        return missed(found, (leak, "nowhere", 4, _SECRET))
    ours = images.files(place.client, values.clean)
    path = f"srv/{values.app}"
    theirs = images.files(place.client, values.leaky)
    has = path in ours and ours[path] == theirs.get(path)
    found.add(tree, "there", "there" if has else "missing", 2, _TREE)
    leaks = images.has_text(place.client, values.clean, values.secret.encode())
    text = "in a layer or the configuration" if leaks else "nowhere"
    found.add(leak, "nowhere", text, 4, _SECRET, met=has and not leaks)
    return found.all


def _draw_marks(dice: Dice) -> dict[str, object]:
    return {"upper": dice.name("upper"), "gone": dice.word(), "hidden": f"{dice.word()}.d"}


def _judge_marks(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()

    def look() -> list[str]:
        folder = place.path(values.upper)
        kind = "no such file"
        with suppress(OSError):
            status = os.lstat(f"{folder}/{values.gone}")
            is_mark = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
            kind = "a whiteout" if is_mark else "another kind of file"
        folder_kind = "no such folder"
        if os.path.isdir(f"{folder}/{values.hidden}"):
            folder_kind = "an ordinary folder"
            for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
                with suppress(OSError):
                    if os.getxattr(f"{folder}/{values.hidden}", name) == b"y":
                        folder_kind = "opaque"
        return [kind, folder_kind]

    kind, folder_kind = place.among_files(look)
    found.add(f"{values.upper}/{values.gone}", "a whiteout", kind, 3, _WHITEOUT)
    found.add(f"{values.upper}/{values.hidden}", "opaque", folder_kind, 3, _OPAQUE)
    return found.all


def _tidy_marks(place: Place, values: Values) -> None:
    folders.remove(place, values.upper)


def _draw_union(dice: Dice) -> dict[str, object]:
    names = {name: dice.name(name) for name in ("bottom", "middle", "top", "union")}
    return {**names, "word": dice.word(), "file": f"{dice.word()}.txt"}


def _scene_union(place: Place, values: Values) -> Memo:
    def write() -> None:
        for name, text in ((values.bottom, "from below\n"), (values.middle, "from the middle\n")):
            os.makedirs(place.path(name), exist_ok=True)
            with open(f"{place.path(name)}/{values.file}", "w") as file:
                file.write(text)

    place.among_files(write)
    return {}


def _tidy_union(place: Place, values: Values) -> None:
    folders.remove(place, *(values[name] for name in ("bottom", "middle", "top", "union")))


def _judge_union(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    target = place.path(values.union)
    mount = None
    with suppress(OSError), open(f"/proc/{place.kernel_pid}/mountinfo") as file:
        for each in parse_mountinfo(file.read()):
            if each.target == target or each.target.endswith(f"/{values.union}"):
                mount = each
    kind = mount.kind if mount else "nothing is mounted there"
    is_union = found.add(f"the mount at {values.union}", "overlay", kind, 2, _UNION)
    options = dict(o.partition("=")[::2] for o in mount.super_options) if mount else {}
    lower = [os.path.basename(path) for path in options.get("lowerdir", "").split(":")]
    wanted = f"{values.middle} over {values.bottom}"
    text = " over ".join(lower) if is_union else "nothing to look at"
    found.add("the folders below", wanted, text or "none", 2, _UNION)
    upper = os.path.basename(options.get("upperdir", "")) or "none"
    is_met = upper == values.top and is_union
    found.add("the folder that is written to", values.top, upper, 1, _UNION, met=is_met)
    written = place.read_file(f"{values.top}/{values.file}") or b""
    text = written[:40].decode("utf-8", "replace").strip() or "nothing"
    is_met = is_met and text == values.word
    found.add(f"{values.file} in {values.top}", values.word, text, 2, _UNION, met=is_met)
    return found.all


def _draw_diff(dice: Dice) -> dict[str, object]:
    return {
        "name": dice.name("writer"),
        "added": f"/srv/{dice.word()}",
        "changed": dice.choice(["/etc/passwd", "/etc/group"]),
        "removed": dice.choice(["/bin/nc", "/bin/vi", "/bin/wget", "/bin/telnet"]),
    }


KINDS = ("changed", "added", "removed")


def _judge_diff(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    wrote: dict[str, str] = {}
    try:
        container = place.client.containers.get(values.name)
        wrote = {each["Path"]: KINDS[each["Kind"]] for each in container.diff()}
        nothing = "as it was"
    except NotFoundError:
        nothing = "no such container"
    met = True
    for path, wanted in (
        (values.added, "added"),
        (values.changed, "changed"),
        (values.removed, "removed"),
    ):
        met = found.add(path, wanted, wrote.get(path, nothing), 1, _DIFF) and met
    above = {os.path.dirname(path) for path in (values.added, values.changed, values.removed)}
    others = sorted(wrote.keys() - above - {values.added, values.changed, values.removed})
    text = ", ".join(others[:3]) or "nothing"
    found.add("its other changes", "nothing", text, 2, _DIFF, met=met and not others)
    return found.all


def _draw_recipe(dice: Dice) -> dict[str, object]:
    return {
        "made": dice.name("made"),
        "site": dice.name("recipe"),
        "_added": f"/srv/{dice.word()}",
        "_word": dice.word(),
        "_closed": dice.choice(["/etc/group", "/etc/passwd"]),
        "_removed": dice.choice(["/bin/nc", "/bin/vi", "/bin/wget", "/bin/telnet"]),
    }


def _scene_recipe(place: Place, values: Values) -> Memo:
    """Make an image by hand: files added, changed, removed, then a commit."""
    steps = (
        f"mkdir -p /srv; echo {values['_word']} > {values['_added']}; "
        f"chmod 600 {values['_closed']}; rm {values['_removed']}"
    )
    container = place.client.containers.create(
        "busybox", ["sh", "-c", steps], name=f"scene-{values.mark}"
    )
    container.start()
    container.wait()
    container.commit(values.made, "latest")
    container.remove(force=True)
    folders.write(place, {f"{values.site}/Dockerfile": b""})
    return {}


def _judge_recipe(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    base, tree = (
        "the base of your build",
        f"the files of the judge's build, and of {values.made}",
    )
    built = contexts.build(place, values, contexts.files(place, values.site))
    attrs, busybox = place.image(built.image or "none"), place.image("busybox")
    if not built.image or attrs is None or busybox is None:
        text = built.error or "there is no busybox here"
        found.add(base, "busybox", f"no image: {text}", 2, _RECIPE, met=False)
        return missed(found, (tree, "the same", 6, _RECIPE))
    committed = place.image(values.made)
    layers, first = attrs["RootFS"]["Layers"], busybox["RootFS"]["Layers"]
    own = [] if committed is None else committed["RootFS"]["Layers"][len(first) :]
    begins = layers[: len(first)] == first and len(layers) > len(first) and not {*own} & {*layers}
    text = "busybox" if begins else f"the layer of {values.made}" if own else "another image"
    found.add(base, "busybox", text, 2, _RECIPE, met=begins)
    ours = images.files(place.client, built.image)
    theirs = images.files(place.client, values.made)
    differ = sorted(p for p in ours.keys() | theirs.keys() if ours.get(p) != theirs.get(p))
    text = f"different at /{differ[0]}" if differ else "the same"
    found.add(tree, "the same", text, 6, _RECIPE, met=begins and not differ)
    return found.all


def _tidy_recipe(place: Place, values: Values) -> None:
    images.remove(place, values)
    folders.remove(place, values.site)


EXERCISES = (
    Exercise(
        "03.1",
        "Smaller, with the same files",
        "The image `{big}` shows the same files as `busybox` and /srv/{kept}, but is {size} MiB "
        "larger.  Make an image `{small}` with exactly the files of `{big}` and without the "
        "ballast.",
        6,
        _draw_shrink,
        _judge_shrink,
        _scene_shrink,
    ),
    Exercise(
        "03.2",
        "A secret in no layer",
        "A key was removed from `{leaky}`, but `{secret}` can still be read in it.  Make "
        "`{clean}`, which has /srv/{app} as it is in `{leaky}`, and the key nowhere.",
        6,
        _draw_secret,
        _judge_secret,
        _scene_secret,
    ),
    Exercise(
        "03.3",
        "Marks by hand",
        "In the folder `{upper}` beside this notebook, make the two marks of a layer by hand: one "
        "that removes the file `{gone}`, and the folder `{hidden}` that hides what is below it.",
        6,
        _draw_marks,
        _judge_marks,
        tidy=_tidy_marks,
    ),
    Exercise(
        "03.4",
        "A union by hand",
        "Beside this notebook are the folders `{bottom}` and `{middle}`.  Unite them by hand at "
        "`{union}`: `{middle}` is above `{bottom}`, and new files are written to `{top}`.  Then "
        "write the word {word} into {file} in the union.",
        7,
        _draw_union,
        _judge_union,
        _scene_union,
        _tidy_union,
    ),
    Exercise(
        "03.5",
        "The changes of a container",
        "Start a container `{name}` that adds {added}, changes {changed}, removes {removed}, and "
        "changes nothing else.  It may have ended.",
        5,
        _draw_diff,
        _judge_diff,
    ),
    Exercise(
        "03.6",
        "From a commit to a recipe",
        "The image `{made}` was made from `busybox` by hand, and committed.  Write a Dockerfile "
        "into `{site}` beside this notebook that makes the same files, with the same rights, from "
        "`busybox`.  The check builds it.",
        8,
        _draw_recipe,
        _judge_recipe,
        _scene_recipe,
        _tidy_recipe,
    ),
)
