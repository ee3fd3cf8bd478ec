"""Everything one can ask labkitd for: the table from method and path to handler.

A handler takes the engine, the request and the names in its path, and returns an answer
(`labkit.daemon.responses`).  It raises labkit's errors and knows nothing of HTTP's other sides.
"""

from labkit.daemon.routes import (
    archive,
    containers,
    events,
    execs,
    images,
    life,
    networks,
    prune,
    streams,
    system,
    usage,
    volumes,
)
from labkit.daemon.routes.table import Route, Table

ROUTES = (
    Route("GET", "/_ping", system.ping),
    Route("HEAD", "/_ping", system.ping),
    Route("GET", "/version", system.version),
    Route("GET", "/info", system.info),
    Route("GET", "/labkit/states", system.life),
    Route("GET", "/images/json", images.list_images),
    Route("POST", "/images/create", images.create),
    Route("GET", "/images/{image}/json", images.inspect),
    Route("DELETE", "/images/{image}", images.remove),
    Route("GET", "/containers/json", containers.list_containers),
    Route("POST", "/containers/create", containers.create),
    Route("GET", "/containers/{id}/json", containers.inspect),
    Route("POST", "/containers/prune", prune.prune),
    Route("HEAD", "/containers/{id}/archive", archive.look),
    Route("GET", "/containers/{id}/archive", archive.get),
    Route("PUT", "/containers/{id}/archive", archive.put),
    Route("GET", "/containers/{id}/export", archive.export),
    Route("GET", "/containers/{id}/changes", archive.changes),
    Route("POST", "/containers/{id}/start", containers.start),
    Route("POST", "/containers/{id}/stop", containers.stop),
    Route("POST", "/containers/{id}/kill", containers.kill),
    Route("DELETE", "/containers/{id}", containers.remove),
    Route("GET", "/containers/{id}/steps", containers.steps),
    Route("POST", "/containers/{id}/wait", streams.wait),
    Route("POST", "/containers/{id}/attach", streams.attach),
    Route("GET", "/containers/{id}/attach/ws", streams.attach_websocket),
    Route("GET", "/containers/{id}/logs", streams.logs),
    Route("GET", "/volumes", volumes.list_volumes),
    Route("POST", "/volumes/create", volumes.create),
    Route("POST", "/volumes/prune", volumes.prune),
    Route("GET", "/volumes/{id}", volumes.inspect),
    Route("DELETE", "/volumes/{id}", volumes.remove),
    Route("POST", "/containers/{id}/pause", life.pause),
    Route("POST", "/containers/{id}/unpause", life.unpause),
    Route("POST", "/containers/{id}/restart", life.restart),
    Route("POST", "/containers/{id}/rename", life.rename),
    Route("POST", "/containers/{id}/resize", life.resize),
    Route("POST", "/containers/{id}/update", usage.update),
    Route("GET", "/containers/{id}/top", usage.top),
    Route("GET", "/containers/{id}/stats", usage.stats_),
    Route("POST", "/containers/{id}/exec", execs.create),
    Route("POST", "/exec/{id}/start", execs.start),
    Route("GET", "/exec/{id}/json", execs.inspect),
    Route("POST", "/exec/{id}/resize", execs.resize),
    Route("GET", "/events", events.events),
    Route("GET", "/networks", networks.list_networks),
    Route("GET", "/networks/{id}", networks.inspect),
)

TABLE = Table(ROUTES)
