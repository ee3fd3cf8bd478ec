"""Ways through the exercises of chapter 6: images."""

import hashlib
from pathlib import Path

from tests.exercises.attempts import Attempts, Bench, Way, Wrong, docker


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def digests(kind: str) -> Way:
    def way(bench: Bench) -> None:
        attrs = bench.place.image(bench.v.image)
        assert attrs is not None
        layers = attrs["RootFS"]["Layers"]
        chain = [layers[0]]
        for layer in layers[1:]:
            chain.append(sha256(f"{chain[-1]} {layer}"))
        found = {
            "right": (attrs["Id"], chain[-1]),
            "top layer": (attrs["Id"], layers[-1]),
            "short": (attrs["Id"][:19], chain[-1]),
            "one below": (attrs["Id"], chain[-2]),
            "all at once": (attrs["Id"], sha256(" ".join(layers))),
        }[kind]
        write(bench, "id {}\nchain {}\n".format(*found))

    return way


def write(bench: Bench, text: str) -> None:
    Path(bench.place.path(bench.v.file)).write_text(text)


def carry(*commands: str) -> Way:
    def way(bench: Bench) -> None:
        for command in commands:
            bench.docker(command.format_map({**bench.v, "path": bench.place.path(bench.v.file)}))

    return way


def blobs(bench: Bench) -> list[Path]:
    return sorted(Path(bench.place.path(bench.v.file)).iterdir())


def remove_blobs(kind: str) -> Way:
    def way(bench: Bench) -> None:
        bad = [
            blob
            for blob in blobs(bench)
            if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name
        ]
        good = [blob for blob in blobs(bench) if blob not in bad]
        for blob in {"bad": bad, "all": bad + good, "good": good[:1]}[kind]:
            blob.unlink()

    return way


def renew(bench: Bench) -> None:
    for blob in blobs(bench):
        data = blob.read_bytes()
        blob.unlink()
        blob.with_name(hashlib.sha256(data).hexdigest()).write_bytes(data[:-1])


SAVE = "save -o {path} {image}"


def huge(bench: Bench) -> None:
    """A file of a size that a judge need not read: it takes no space on the disk."""
    with open(bench.place.path(bench.v.file), "wb") as file:
        file.truncate(1 << 40)


ATTEMPTS = {
    "06.1": Attempts(
        digests("right"),
        {
            "the top layer's own": Wrong(digests("top layer"), 2, "the chain id below, a space"),
            "shortened": Wrong(digests("short"), 5, "the line id: sha256:"),
            "one layer short": Wrong(digests("one below"), 2, "the line chain"),
            "all at once": Wrong(digests("all at once"), 2, "the lowest layer first"),
        },
    ),
    "06.2": Attempts(
        docker("tag {image}:stable {image}:previous", "tag {image}:next {image}:stable"),
        {
            "the old one lost": Wrong(docker("tag {image}:next {image}:stable"), 3, "no image"),
            "in the wrong order": Wrong(
                docker("tag {image}:next {image}:stable", "tag {image}:stable {image}:previous"),
                3,
                "previous: the new image",
            ),
            "only kept": Wrong(
                docker("tag {image}:stable {image}:previous"), 0, "stable: the old image"
            ),
        },
    ),
    "06.3": Attempts(
        docker("rm {holder}", "rmi {heavy} {alias}:kept"),
        {
            "one name": Wrong(docker("rmi {heavy}"), 0, "there, with 1 names"),
            "the container alone": Wrong(docker("rm {holder}"), 0, "there, with 2 names"),
            "both images": Wrong(
                docker("rm {holder}", "rmi {heavy} {alias}:kept {light}"), 4, "removed; asked for"
            ),
        },
    ),
    "06.4": Attempts(
        carry(SAVE, "rmi {image}"),
        {
            "still in the engine": Wrong(carry(SAVE), 4, "still there"),
            "a container's files": Wrong(
                carry("run --name box-{image} {image} true", "export -o {path} box-{image}"),
                0,
                "files, and no image",
            ),
            "another image": Wrong(carry("save -o {path} busybox", "rmi {image}"), 0, "another"),
            "removed and lost": Wrong(docker("rmi {image}"), 0, "no such file"),
            "larger than any image": Wrong(huge, 0, "a size that no exercise needs"),
        },
    ),
    "06.5": Attempts(
        remove_blobs("bad"),
        {
            "all removed": Wrong(remove_blobs("all"), 3, "0 unchanged"),
            "another removed": Wrong(remove_blobs("good"), 0, "one changed byte"),
            "all renamed and cut": Wrong(renew, 3, "the other blobs"),
        },
    ),
}
