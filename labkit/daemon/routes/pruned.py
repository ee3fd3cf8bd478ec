"""The event at the end of each prune."""

from labkit.containers import Engine


def publish_prune(engine: Engine, kind: str, reclaimed_bytes: int = 0) -> None:
    """Publish that unused things of a kind were removed."""
    engine.events.publish(kind, "prune", "", {"reclaimed": str(reclaimed_bytes)})
