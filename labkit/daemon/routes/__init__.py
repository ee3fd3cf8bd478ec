"""Everything one can ask labkitd for: the table from method and path to handler.

A handler takes the engine, the request and the names in its path, and returns an answer
(`labkit.daemon.responses`).  It raises labkit's errors and knows nothing of HTTP's other sides.
"""

from labkit.daemon.routes import containers, images, streams, system
from labkit.daemon.routes.table import Route, Table

ROUTES = (
    Route("GET", "/_ping", system.ping),
    Route("HEAD", "/_ping", system.ping),
    Route("GET", "/version", system.version),
    Route("GET", "/info", system.info),
    Route("GET", "/images/json", images.list_images),
    Route("POST", "/images/create", images.create),
    Route("GET", "/images/{image}/json", images.inspect),
    Route("DELETE", "/images/{image}", images.remove),
    Route("GET", "/containers/json", containers.list_containers),
    Route("POST", "/containers/create", containers.create),
    Route("GET", "/containers/{id}/json", containers.inspect),
    Route("POST", "/containers/{id}/start", containers.start),
    Route("POST", "/containers/{id}/stop", containers.stop),
    Route("POST", "/containers/{id}/kill", containers.kill),
    Route("DELETE", "/containers/{id}", containers.remove),
    Route("GET", "/containers/{id}/steps", containers.steps),
    Route("POST", "/containers/{id}/wait", streams.wait),
    Route("POST", "/containers/{id}/attach", streams.attach),
    Route("GET", "/containers/{id}/logs", streams.logs),
)

TABLE = Table(ROUTES)
