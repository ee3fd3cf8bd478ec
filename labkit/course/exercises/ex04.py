"""Exercises of chapter 4: the Dockerfile.  The judge builds what is there, and builds it again."""

import os
import secrets

from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import contexts, folders, images, trials
from labkit.course.exercises.place import Place

KB = 1000
LEFT_BYTES = 100 * KB
BIG_BYTES = 300 * KB

_CONTEXT = Lesson(
    "The whole folder is sent to the engine before the first instruction, except the files "
    "that one file in it names.",
    "chapter 4, section The context is sent",
    "the file .dockerignore in the folder",
)
_COPIED = Lesson(
    "Only files that were sent can be copied into the image.",
    "chapter 4, section The context is sent",
    "the files in a container of your image",
)
_ORDER = Lesson(
    "From the first step whose files have changed, all later steps are made again.",
    "chapter 4, section The cache, and the order of lines",
    "which files the step before the long one copies",
)
_NEEDED = Lesson(
    "The cache must be missed when a file changes that a step reads.",
    "chapter 4, section The cache, and the order of lines",
    "which files are there when the long step runs",
)
_RECIPE = Lesson(
    "The recipe may have any name, and need not be in the folder that is sent.",
    "chapter 4, section The context is sent",
    "the flag of a build that names a file, beside the folder",
)
_LEFT = Lesson(
    "Each instruction makes a layer; a file that a later one removes stays in the earlier layer.",
    "chapter 4, section What an instruction adds",
    "the size of each line in the history of your image",
)


def _tidy(place: Place, values: Values) -> None:
    images.remove(place, values)
    folders.remove(place, *(values[name] for name in ("site", "recipes") if name in values))


def _draw_context(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("slim"), "site": dice.name("site"), "word": dice.word()}


def _scene_context(place: Place, values: Values) -> Memo:
    files = {
        "Dockerfile": b"FROM busybox\nCOPY . /site/\n",
        "page.txt": f"{values.word}\n".encode(),
        "film.bin": secrets.token_bytes(BIG_BYTES),
        "logs/old.log": secrets.token_bytes(20 * KB),
    }
    folders.write(place, {f"{values.site}/{name}": data for name, data in files.items()})
    return {}


def _judge_context(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    size = sum(map(len, contexts.files(place, values.site).values()))
    film = place.read_file(f"{values.site}/film.bin")
    is_there = film is not None and len(film) == BIG_BYTES
    text = f"{size / KB:.0f} kB" + ("" if is_there else ", and film.bin is not in the folder")
    is_small = is_there and 0 < size < 10 * KB
    found.add("the files that a build sends", "less than 10 kB", text, 4, _CONTEXT, met=is_small)
    trial = trials.run(place, values, values.image, ["sh", "-c", "cd /site; cat page.txt; ls"])
    names = trial.output.split()[1:]
    has = trial.code == 0 and trial.output.split()[:1] == [values.word] and "film.bin" not in names
    wanted = "page.txt, and not film.bin"
    text = wanted if has else str(trial)
    found.add(f"the folder /site in {values.image}", wanted, text, 3, _COPIED, met=is_small and has)
    return found.all


LONG = "wc -l < /app/list.txt > /count"


def _draw_order(dice: Dice) -> dict[str, object]:
    return {"site": dice.name("shop"), "word": dice.word(), "lines": dice.randrange(4, 30)}


def _scene_order(place: Place, values: Values) -> Memo:
    files = {
        "Dockerfile": f"FROM busybox\nWORKDIR /app\nCOPY . /app/\nRUN {LONG}\n".encode(),
        "page.txt": f"{values.word}\n".encode(),
        "list.txt": b"a line\n" * values.lines,
    }
    folders.write(place, {f"{values.site}/{name}": data for name, data in files.items()})
    return {}


def _judge_order(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    context = contexts.files(place, values.site)
    word, lines = secrets.token_hex(4), secrets.randbelow(1000) + 40
    contexts.build(place, values, context)
    paged = contexts.build(place, values, {**context, "page.txt": f"{word}\n".encode()})
    from_cache = [hit for step, hit in paged.cached.items() if LONG in step]
    text = "from the cache" if from_cache and all(from_cache) else "made again"
    text = text if from_cache else paged.error or "there is no such step"
    is_kept = found.add("RUN, after a change of page.txt", "from the cache", text, 4, _ORDER)
    shown = _shown(place, values, paged, "cat /app/page.txt")
    is_new = is_kept and shown == word
    text = "the new one" if shown == word else repr(shown)
    found.add("page.txt in the image", "the new one", text, 2, _COPIED, met=is_new)
    listed = contexts.build(place, values, {**context, "list.txt": b"a line\n" * lines})
    shown = _shown(place, values, listed, "cat /count")
    is_counted = is_kept and shown == str(lines)
    what = "the count in the image, after a change of list.txt"
    found.add(what, lines, shown, 2, _NEEDED, met=is_counted)
    return found.all


def _shown(place: Place, values: Values, built: contexts.Built, command: str) -> str:
    if not built.image:
        return built.error
    trial = trials.run(place, values, built.image, ["sh", "-c", command])
    return trial.output.strip()[:60]


def _draw_recipe(dice: Dice) -> dict[str, object]:
    return {
        "image": dice.name("cooked"),
        "site": dice.name("pantry"),
        "recipes": dice.name("recipes"),
        "recipe": f"{dice.word()}.txt",
        "word": dice.word(),
    }


def _scene_recipe(place: Place, values: Values) -> Memo:
    folders.write(place, {f"{values.site}/page.txt": f"{values.word}\n".encode()})
    return {}


def _judge_recipe(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    trial = trials.run(place, values, values.image, ["cat", "/page.txt"])
    has_page = trial.code == 0 and trial.output.strip() == values.word
    found.add("/page.txt in the image", repr(values.word), trial, 2, _COPIED, met=has_page)
    path = f"{values.recipes}/{values.recipe}"
    text = (place.read_file(path, 1 << 16) or b"").decode("utf-8", "replace")
    context = contexts.files(place, values.site)
    is_recipe = has_page and _cooks(place, values, context, text)
    shown = "there is no such file" if not text else "a build with it gives no such page"
    wanted = "builds the page"
    shown = wanted if is_recipe else shown
    found.add(f"the recipe {path}", wanted, shown, 3, _RECIPE, met=is_recipe)
    names = _listed(place, values.site)
    is_clean = is_recipe and names == ["page.txt"]
    found.add(f"in {values.site}", "page.txt", ", ".join(names), 2, _RECIPE, met=is_clean)
    return found.all


def _cooks(place: Place, values: Values, context: dict[str, bytes], recipe: str) -> bool:
    if not recipe:
        return False
    built = contexts.build(place, values, {**context, "Dockerfile": recipe.encode()})
    return _shown(place, values, built, "cat /page.txt") == str(values.word)


def _listed(place: Place, folder: str) -> list[str]:
    def look() -> list[str]:
        try:
            return sorted(os.listdir(place.path(folder)))
        except OSError:
            return []

    return place.among_files(look)


def _draw_left(dice: Dice) -> dict[str, object]:
    return {
        "image": dice.name("lean"),
        "site": dice.name("work"),
        "size": dice.randrange(400, 900),
    }


def _scene_left(place: Place, values: Values) -> Memo:
    recipe = (
        "FROM busybox\n"
        f"RUN dd if=/dev/zero of=/lists bs=1000 count={values.size}\n"
        "RUN wc -c < /lists > /result\n"
        "RUN rm /lists\n"
    )
    folders.write(place, {f"{values.site}/Dockerfile": recipe.encode()})
    return {}


def _judge_left(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    wanted = str(values.size * KB)
    trial = trials.run(place, values, values.image, ["cat", "/result"])
    is_right = trial.code == 0 and trial.output.strip() == wanted
    found.add("/result in the image", repr(wanted), trial, 2, _COPIED, met=is_right)
    attrs, base = place.image(values.image), place.image("busybox")
    added = 0 if attrs is None or base is None else attrs["Size"] - base["Size"]
    text = f"{added / KB:.0f} kB" if attrs else "nothing to look at"
    is_lean = is_right and added < LEFT_BYTES
    found.add("the size that its layers add", "less than 100 kB", text, 5, _LEFT, met=is_lean)
    return found.all


EXERCISES = (
    Exercise(
        "04.1",
        "A small context",
        "In your folder (`{folder}`), `{site}` has a Dockerfile, a page, and large files that the "
        "image does not need.  Build it as `{image}` in such a way that less than 10 kB are sent.  "
        "All files stay where they are, and the page is in the image.",
        7,
        _draw_context,
        _judge_context,
        _scene_context,
        _tidy,
    ),
    Exercise(
        "04.2",
        "The order of lines",
        "In your folder (`{folder}`), `{site}` has a Dockerfile.  Its RUN takes long, and reads "
        "only `list.txt`, but it runs again each time `page.txt` changes.  Change the order of "
        "the lines: after a change of `page.txt`, RUN comes from the cache.  Do not change "
        "the command of RUN.",
        8,
        _draw_order,
        _judge_order,
        _scene_order,
        _tidy,
    ),
    Exercise(
        "04.3",
        "The recipe is elsewhere",
        "In your folder (`{folder}`), `{site}` has a page and no Dockerfile.  Write the recipe "
        "into `{recipes}/{recipe}`, and build `{image}` with it, which has `/page.txt`.  Nothing "
        "is added to `{site}`.",
        7,
        _draw_recipe,
        _judge_recipe,
        _scene_recipe,
        _tidy,
    ),
    Exercise(
        "04.4",
        "Nothing left in a layer",
        "In your folder (`{folder}`), `{site}` has a Dockerfile that makes a large file, counts "
        "its bytes and removes it.  The image is large all the same.  Change the Dockerfile, and "
        "build it as `{image}`, with the same `/result` and less than 100 kB more than busybox.",
        7,
        _draw_left,
        _judge_left,
        _scene_left,
        _tidy,
    ),
)
