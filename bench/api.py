"""labkit's API: four requests on one kept connection."""

from bench.engines import IMAGE, Labkit
from bench.peer import MissingPeerError
from labkit.client import Client
from labkit.client.create import create_body
from labkit.errors import LabkitError


class LabkitApi:
    """Create, start, wait and remove, through the daemon of a `Labkit` that is already set up."""

    name = "labkit API"

    def __init__(self, engine: Labkit) -> None:
        self._engine = engine
        self._client: Client | None = None
        self._body = create_body(IMAGE, ["true"], network_mode="none")

    def setup(self, folder: str) -> None:
        """Connect; `MissingPeerError` if the engine did not start."""
        self._client = Client(self._engine.paths.socket)
        try:
            self._client.ping()
        except LabkitError as error:
            raise MissingPeerError(str(error)) from None

    def prepare(self) -> None:
        """Do nothing."""

    def run_once(self) -> None:
        """Send the four requests."""
        assert self._client is not None
        api = self._client.api
        path = f"/containers/{api.post('/containers/create', self._body)['Id']}"
        api.post(f"{path}/start")
        result = api.post(f"{path}/wait")
        api.delete(path)
        if result["StatusCode"]:
            raise RuntimeError(f"the container ended with status {result['StatusCode']}")

    def clean_up(self) -> None:
        """Do nothing: the container is already removed."""

    def teardown(self) -> None:
        """Close the connection."""
        if self._client:
            self._client.close()
