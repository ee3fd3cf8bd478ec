"""Demo 03: an image is a stack of layers, and a container one more, which grows."""

import secrets

from labkit.client.containers import Container
from labkit.course.demos.canvas import AMBER, NAVY, PALE, QUIET, TEAL, WHITE, Canvas
from labkit.course.demos.controls import Press
from labkit.course.demos.demo import Demo
from labkit.course.layers.layer_stack import LayerStacks, layer_stacks
from labkit.dialect.sizes import human_size
from labkit.errors import LabkitError, NotFoundError

BASE, IMAGE = "busybox", "labkit-demo-stack"
MOST_LAYERS = 5
MOST_CONTAINERS = 3
BOTTOM, HIGH, GAP = 470.0, 62.0, 8.0
COMMANDS = {
    "write": "head -c 1m /dev/urandom > /file-$RANDOM",
    "change": "echo >> /bin/busybox",
    "delete": "rm -f /file-*",
}


class StackDemo(Demo):
    """Containers as columns: a shared layer is one wide block, a container's own is dashed."""

    number = "03"
    title = "The stack grows"
    say = "Layers are read-only. A container writes into its own folder; commit makes it a layer."
    surprise = "One letter more in a big file copies all of it; deleting gives nothing back below."
    controls = (
        Press("write", "write 1 MiB"),
        Press("change", "add a letter to /bin/busybox"),
        Press("delete", "rm the files of 1 MiB"),
        Press("commit", "docker commit, and run that"),
        Press("run", "one more container beside it"),
    )

    def begin(self) -> None:
        """One container of the base image."""
        self._tags: list[str] = []
        self.keep(self._forget)
        self._boxes = [self._hire(BASE)]
        self._image = BASE

    def act(self, key: str) -> None:
        """Write in the newest container, or make an image or a container of it."""
        newest = self._boxes[-1]
        if key == "run":
            if len(self._boxes) == MOST_CONTAINERS:
                raise LabkitError(f"{MOST_CONTAINERS} fit the picture: press Restart")
            self._boxes.append(self._hire(self._image))
        elif key == "commit":
            if len(self._tags) + 1 == MOST_LAYERS:
                raise LabkitError(f"{MOST_LAYERS} layers fit the picture: press Restart")
            tag = f"{secrets.token_hex(2)}"
            newest.commit(IMAGE, tag)
            self._image = f"{IMAGE}:{tag}"
            self._tags.append(self._image)
            self._boxes[-1] = self._hire(self._image)
            newest.remove(force=True)
        else:
            newest.exec_run(["sh", "-c", COMMANDS[key]])

    def stacks(self) -> LayerStacks:
        """The layers as the engine's store and the writable folders have them."""
        return layer_stacks(*(box.name for box in self._boxes))

    def draw(self) -> Canvas:
        """Blocks from the bottom: the shared ones wide, the writable ones on top."""
        found = self.stacks()
        canvas = Canvas(
            f"{len(found.stacks)} containers: "
            + "; ".join(
                f"{len(one.layers)} layers and {human_size(one.written_bytes or 0)} written"
                for one in found.stacks
            )
        )
        width = 880.0 / len(found.stacks)
        for block in found.blocks():
            canvas.box(
                (10 + block.first * width, BOTTOM - (block.height + 1) * (HIGH + GAP)),
                (block.width * width - 10, HIGH),
                f"made by docker commit ({block.height})" if block.height else BASE,
                human_size(block.layer.size_bytes),
                face=NAVY if block.width > 1 or len(found.stacks) == 1 else TEAL,
            )
        for column, stack in enumerate(found.stacks):
            top = BOTTOM - (len(stack.layers) + 1) * (HIGH + GAP)
            own = human_size(stack.written_bytes or 0)
            words = "writable" if len(found.stacks) > 1 else "the container's own, writable"
            canvas.box(
                (10 + column * width, top),
                (width - 10, HIGH),
                words,
                own,
                face=WHITE if not stack.written_bytes else "#FBEFD9",
                edge=AMBER,
                thick=4,
                dashed=True,
            )
        canvas.line((0, BOTTOM), (900, BOTTOM), ink=PALE, thick=4)
        listed, disk = human_size(found.listed_bytes), human_size(found.disk_bytes)
        canvas.words((10, 506), f"as listed: {listed}   on the disk: {disk}", bold=True)
        if len(found.stacks) > 1:
            canvas.words((890, 506), "wide: shared, there once", anchor="end", ink=QUIET)
        return canvas

    def _hire(self, image: str) -> Container:
        return self.crew.hire_plain("stack", ["sleep", "3600"], image)

    def _forget(self) -> None:
        for tag in reversed(self._tags):
            try:
                self.client.images.remove(tag, force=True)
            except NotFoundError:
                continue
