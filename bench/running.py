"""Measurements of engines that already run: exec, and many starts at once."""

from concurrent.futures import ThreadPoolExecutor

from bench.engine_api import EngineApi
from bench.engines import IMAGE, Engine
from bench.peer import MissingPeerError

PARALLEL = 50


class OfEngine:
    """A peer that needs an engine which has been set up."""

    what = ""

    def __init__(self, engine: Engine) -> None:
        self.name = f"{engine.program} {self.what}"
        self._engine = engine

    def setup(self, folder: str) -> None:
        """Check the engine; `MissingPeerError` if it did not start."""
        if not self._engine.is_up:
            raise MissingPeerError(f"{self._engine.name} was not measured either")

    def prepare(self) -> None:
        """Do nothing."""

    def clean_up(self) -> None:
        """Do nothing."""

    def teardown(self) -> None:
        """Do nothing."""


class ExecCommand(OfEngine):
    """`exec CONTAINER true` by the engine's command, from its start to its end."""

    what = "exec"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._container = self._engine.start_idle()

    def run_once(self) -> None:
        self._engine.run_program("exec", self._container, "true")

    def teardown(self) -> None:
        if hasattr(self, "_container"):
            self._engine.remove(self._container)


class ExecApi(OfEngine):
    """`exec` of `true` by three requests: create, start (attached, to its end), inspect."""

    what = "API exec"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._api = EngineApi(self._engine.socket)
        self._container = self._api.create(IMAGE, ["sleep", "3600"])
        self._api.start(self._container)

    def run_once(self) -> None:
        code = self._api.execute(self._container, ["true"])
        if code:
            raise RuntimeError(f"{self.name} ended with status {code}")

    def teardown(self) -> None:
        if hasattr(self, "_container"):
            self._api.remove(self._container)
            self._api.close()


class ParallelStarts(OfEngine):
    """Containers that exist already, started all at once: a thread and a connection each."""

    what = "API starts"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._apis = [EngineApi(self._engine.socket) for _ in range(PARALLEL)]
        self._threads = ThreadPoolExecutor(PARALLEL)
        self._containers: list[str] = []

    def prepare(self) -> None:
        """Create the containers."""
        api = self._apis[0]
        self._containers = [api.create(IMAGE, ["sleep", "3600"]) for _ in range(PARALLEL)]

    def run_once(self) -> None:
        """Start them: from the first request to the last answer."""
        list(self._threads.map(EngineApi.start, self._apis, self._containers))

    def clean_up(self) -> None:
        """Remove them, a few at a time."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(EngineApi.remove, self._apis, self._containers))
        self._containers = []

    def teardown(self) -> None:
        if hasattr(self, "_threads"):
            self._threads.shutdown()
            self.clean_up()
            for api in self._apis:
                api.close()
