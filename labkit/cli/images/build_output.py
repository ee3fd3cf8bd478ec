"""`labkit build -o`: the result as a folder, as an archive of its files, or as one of the image.

-o FOLDER    -o - > FILES.tar    -o type=tar,dest=FILE    -o type=docker,dest=FILE
"""

import os

from labkit.cli.archives.output import check, write_archive
from labkit.cli.base.errors import bad_value
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.client.api import Api

STDOUT = "-"
FLAG = "-o, --output"
KINDS = ("local", "tar", "docker", "oci", "image")


class Output:
    """One result that was asked for."""

    def __init__(self, text: str) -> None:
        """Read `type=KIND,dest=PATH`, or a path alone; UsageError."""
        if "=" not in text:
            self.kind, self.path = ("tar" if text == STDOUT else "local"), text
        else:
            given = dict(part.partition("=")[::2] for part in text.split(","))
            self.kind = given.pop("type", "")
            self.path = given.pop("dest", "")
            unknown = ", ".join(given)
            if self.kind not in KINDS or unknown:
                why = f"unknown: {unknown}" if unknown else f"a type is one of {', '.join(KINDS)}"
                why = f"it must be a folder, or type=KIND,dest=PATH; {why}"
                raise bad_value(text, FLAG, why)
        if self.kind == "local" and not self.path:
            raise bad_value(text, FLAG, "it needs a folder: dest=PATH")
        if self.kind not in ("local", "image"):
            self.path = "" if self.path == STDOUT else self.path
            check(self.path)

    @property
    def is_on_stdout(self) -> bool:
        """Whether it is written to standard output, so that nothing else may be."""
        return self.kind not in ("local", "image") and not self.path


def export(api: "Api", image: str, output: Output) -> None:
    """Write the image's files, or the image, to its place; LabkitError."""
    if output.kind == "image":
        return
    if output.kind in ("docker", "oci"):  # `save` writes an archive that is both
        write_archive(api.stream("GET", "/images/get", names=[image]), output.path)
        return
    made = api.post("/containers/create", {"Image": image, "Cmd": ["none"], "Entrypoint": []})
    path = container_path(made["Id"])
    try:
        if output.kind == "tar":
            write_archive(api.stream("GET", f"{path}/export"), output.path)
        else:
            _write_folder(api, made["Id"], output.path)
    finally:
        api.delete(path, force=1, v=1)


def _write_folder(api: "Api", container: str, folder: str) -> None:
    from labkit.cli.archives.packing import unpack  # noqa: PLC0415 seldom needed
    from labkit.client.archive import get_archive  # noqa: PLC0415

    os.makedirs(folder, exist_ok=True)
    pieces, _ = get_archive(api, container, "/.")
    unpack(pieces, folder, "", keep_owners=False)
