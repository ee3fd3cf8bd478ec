"""The images that stages begin with, and that COPY --from names: found here, or pulled."""

import contextlib

from labkit.build import events
from labkit.build.context.archive import Archive
from labkit.build.context.contexts import Contexts
from labkit.build.dockerfile.model import Instruction
from labkit.build.dockerfile.parser import parse_trigger
from labkit.build.options import Options, Registries
from labkit.build.solver import Report
from labkit.containers import Engine
from labkit.dialect.references import canonical
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import Image
from labkit.images.models import SCRATCH, Platform


class BaseImages:
    """The images of one build, by the names in its Dockerfile."""

    def __init__(
        self, engine: Engine, options: Options, contexts: Contexts, registries: Registries
    ) -> None:
        self._engine = engine
        self._options = options
        self._contexts = contexts
        self._registries = registries
        self._resolved: dict[tuple[str, str], Image] = {}
        self._triggers: dict[str, list[Instruction]] = {}

    def meaning(self, name: str) -> str:
        """The image that a name means: the user may have given it another meaning."""
        named = self._contexts.named(name)
        if isinstance(named, Archive):
            raise InvalidParameterError(f"FROM {name}: {name} is a folder of files, not an image")
        return named or name

    def find(self, report: Report, name: str, platform: str) -> Image:
        """An image by its name, pulled if it is not here for the platform (empty: for any)."""
        name = self.meaning(name)
        key = name, platform
        if key not in self._resolved:
            self._resolved[key] = self._resolve(report, name, platform)
        return self._resolved[key]

    def _resolve(self, report: Report, name: str, platform: str) -> Image:
        has = ""
        if not self._options.pull:
            with contextlib.suppress(NotFoundError):
                image = self._engine.images.resolve(name)
                found = Platform(image.architecture, image.os, image.document.variant)
                wanted = self._registries.platform(platform)
                if not platform or self._registries.suits(found, wanted):
                    return image
                has = f"{name} is for {self._registries.shown(found)}, and {platform} was asked for"
        try:
            self._registries.pull(name, platform, lambda message: report(events.Pulled(message)))
        except LabkitError as error:
            if not has:
                raise
            raise InvalidParameterError(f"{has}: {error}") from None
        return self._engine.images.resolve(name)

    def triggers(self, name: str) -> list[Instruction]:
        """Return the ONBUILD instructions of an image that is here; they may copy from stages."""
        if name not in self._triggers:
            self._triggers[name] = self._found_triggers(name)
        return self._triggers[name]

    def _found_triggers(self, name: str) -> list[Instruction]:
        if name == SCRATCH:
            return []
        try:
            kept = self._engine.images.resolve(self.meaning(name)).config.on_build or []
            return [parse_trigger(text) for text in kept]
        except (NotFoundError, InvalidParameterError):
            return []  # FROM says what is wrong with it

    def forget_triggers(self) -> None:
        """Look again for what ONBUILD has kept: images were pulled."""
        self._triggers.clear()


def shown_name(name: str) -> str:
    """An image's name as BuildKit shows it: whole, unless it is an id."""
    if name.startswith("sha256:"):
        return name
    try:
        return canonical(name)
    except InvalidParameterError:
        return name
