"""The event that ends each prune."""

from labkit.containers import Engine


def publish_prune(engine: Engine, kind: str, reclaimed_bytes: int = 0) -> None:
    """Tell whoever listens that all of a kind were removed that nothing needs."""
    engine.events.publish(kind, "prune", "", {"reclaimed": str(reclaimed_bytes)})
