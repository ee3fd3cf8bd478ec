"""The messages of BuildKit's protocol: the fields that labkit reads or writes, by their numbers.

Sources, by section: buildkit's `api/services/control/control.proto`, `api/types/worker.proto`,
`frontend/gateway/pb/gateway.proto`, `solver/pb/ops.proto`, `session/*/*.proto`; fsutil's
`types/wire.proto` and `types/stat.proto`.
"""

from typing import Annotated

from msgspec import Struct


class Empty(Struct):
    """A message without fields."""


class Timestamp(Struct):
    """`google.protobuf.Timestamp`: a moment."""

    seconds: Annotated[int, 1] = 0
    nanos: Annotated[int, 2] = 0


class Any(Struct):
    """`google.protobuf.Any`: a value with the name of its type."""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


class Status(Struct):
    """`google.rpc.Status`: an error."""

    code: Annotated[int, 1] = 0
    message: Annotated[str, 2] = ""
    details: Annotated[list[Any], 3] = []


# Control: workers, builds, caches


class OciPlatform(Struct):
    """`pb.Platform`."""

    architecture: Annotated[str, 1] = ""
    os: Annotated[str, 2] = ""
    variant: Annotated[str, 3] = ""


class BuildkitVersion(Struct):
    """The version of BuildKit."""

    package: Annotated[str, 1] = ""
    version: Annotated[str, 2] = ""
    revision: Annotated[str, 3] = ""


class WorkerRecord(Struct):
    """One worker: an engine has one."""

    id: Annotated[str, 1] = ""
    labels: Annotated[dict[str, str], 2] = {}
    platforms: Annotated[list[OciPlatform], 3] = []
    version: Annotated[BuildkitVersion | None, 5] = None


class ListWorkersResponse(Struct):
    """The answer of `Control/ListWorkers`."""

    record: Annotated[list[WorkerRecord], 1] = []


class InfoResponse(Struct):
    """The answer of `Control/Info`."""

    version: Annotated[BuildkitVersion | None, 1] = None


class Exporter(Struct):
    """The wanted export of a result."""

    type: Annotated[str, 1] = ""
    attributes: Annotated[dict[str, str], 2] = {}


class CacheEntry(Struct):
    """The source or the target of a cache."""

    type: Annotated[str, 1] = ""
    attributes: Annotated[dict[str, str], 2] = {}


class CacheOptions(Struct):
    """Caches besides the engine's own."""

    exports: Annotated[list[CacheEntry], 4] = []
    imports: Annotated[list[CacheEntry], 5] = []


class SolveRequest(Struct):
    """`Control/Solve`: one build."""

    ref: Annotated[str, 1] = ""
    exporter_deprecated: Annotated[str, 3] = ""
    exporter_attributes_deprecated: Annotated[dict[str, str], 4] = {}
    session: Annotated[str, 5] = ""
    frontend: Annotated[str, 6] = ""
    frontend_attributes: Annotated[dict[str, str], 7] = {}
    cache: Annotated[CacheOptions | None, 8] = None
    entitlements: Annotated[list[str], 9] = []
    internal: Annotated[bool, 11] = False
    exporters: Annotated[list[Exporter], 13] = []


class SolveResponse(Struct):
    """The answers of the exporters."""

    exporter_response: Annotated[dict[str, str], 1] = {}


class StatusRequest(Struct):
    """`Control/Status`: the progress of the build `ref`."""

    ref: Annotated[str, 1] = ""


class UsageRecord(Struct):
    """One cached object of builds."""

    id: Annotated[str, 1] = ""
    mutable: Annotated[bool, 2] = False
    in_use: Annotated[bool, 3] = False
    size: Annotated[int, 4] = 0
    created_at: Annotated[Timestamp | None, 6] = None
    last_used_at: Annotated[Timestamp | None, 7] = None
    usage_count: Annotated[int, 8] = 0
    description: Annotated[str, 9] = ""
    record_type: Annotated[str, 10] = ""
    shared: Annotated[bool, 11] = False
    parents: Annotated[list[str], 12] = []


class DiskUsageRequest(Struct):
    """`Control/DiskUsage`."""

    filter: Annotated[list[str], 1] = []


class DiskUsageResponse(Struct):
    """All cached objects."""

    record: Annotated[list[UsageRecord], 1] = []


class PruneRequest(Struct):
    """`Control/Prune`."""

    filter: Annotated[list[str], 1] = []
    all: Annotated[bool, 2] = False
    keep_duration_ns: Annotated[int, 3] = 0


# Progress


class Vertex(Struct):
    """One step; `digest` is its name in the protocol."""

    digest: Annotated[str, 1] = ""
    inputs: Annotated[list[str], 2] = []
    name: Annotated[str, 3] = ""
    cached: Annotated[bool, 4] = False
    started: Annotated[Timestamp | None, 5] = None
    completed: Annotated[Timestamp | None, 6] = None
    error: Annotated[str, 7] = ""


class VertexStatus(Struct):
    """A part of a step: the pull of a layer, say."""

    id: Annotated[str, 1] = ""
    vertex: Annotated[str, 2] = ""
    name: Annotated[str, 3] = ""
    current: Annotated[int, 4] = 0
    total: Annotated[int, 5] = 0
    timestamp: Annotated[Timestamp | None, 6] = None
    started: Annotated[Timestamp | None, 7] = None
    completed: Annotated[Timestamp | None, 8] = None


class VertexLog(Struct):
    """Output of a step: on `stream` 1 or 2."""

    vertex: Annotated[str, 1] = ""
    timestamp: Annotated[Timestamp | None, 2] = None
    stream: Annotated[int, 3] = 0
    message: Annotated[bytes, 4] = b""


class SourceInfo(Struct):
    """A file to which errors and warnings refer (`pb.SourceInfo`)."""

    filename: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    language: Annotated[str, 4] = ""


class Position(Struct, frozen=True):
    """A line, from 1."""

    line: Annotated[int, 1] = 0


class Range(Struct):
    """Some lines."""

    start: Annotated[Position, 1] = Position()
    end: Annotated[Position, 2] = Position()


class VertexWarning(Struct):
    """A warning, which the client lists after the build."""

    vertex: Annotated[str, 1] = ""
    level: Annotated[int, 2] = 0
    short: Annotated[bytes, 3] = b""
    detail: Annotated[list[bytes], 4] = []
    url: Annotated[str, 5] = ""
    info: Annotated[SourceInfo | None, 6] = None
    ranges: Annotated[list[Range], 7] = []


class StatusResponse(Struct):
    """Events of a build."""

    vertexes: Annotated[list[Vertex], 1] = []
    statuses: Annotated[list[VertexStatus], 2] = []
    logs: Annotated[list[VertexLog], 3] = []
    warnings: Annotated[list[VertexWarning], 4] = []


# LLBBridge: the frontend, on request of the client


class ApiCapability(Struct):
    """One capability of the daemon."""

    id: Annotated[str, 1] = ""
    enabled: Annotated[bool, 2] = False


class PongResponse(Struct):
    """The answer of `LLBBridge/Ping`."""

    frontend_capabilities: Annotated[list[ApiCapability], 1] = []
    llb_capabilities: Annotated[list[ApiCapability], 2] = []
    workers: Annotated[list[WorkerRecord], 3] = []


class Operand(Struct):
    """An operation that another one needs (`pb.Input`)."""

    digest: Annotated[str, 1] = ""


class SourceOperation(Struct):
    """An operation that fetches something."""

    identifier: Annotated[str, 1] = ""


class Operation(Struct):
    """One step of a graph (`pb.Op`)."""

    inputs: Annotated[list[Operand], 1] = []
    source: Annotated[SourceOperation | None, 3] = None


class OperationMetadata(Struct, frozen=True):
    """Marks that a client may set on a step."""

    ignore_cache: Annotated[bool, 1] = False


class Definition(Struct, frozen=True):
    """A graph of steps, each encoded; the last one names the result."""

    operations: Annotated[list[bytes], 1] = []
    metadata: Annotated[dict[str, OperationMetadata], 2] = {}
    """One entry for each step, by its digest: clients count them."""


class BridgeSolveRequest(Struct):
    """`LLBBridge/Solve`: run a frontend."""

    frontend: Annotated[str, 2] = ""
    options: Annotated[dict[str, str], 3] = {}
    allow_result_return: Annotated[bool, 5] = False
    inputs: Annotated[dict[str, Definition], 13] = {}


class Ref(Struct, frozen=True):
    """A result that stays in the daemon."""

    id: Annotated[str, 1] = ""
    definition: Annotated[Definition | None, 2] = None


class EvaluateRequest(Struct):
    """`LLBBridge/Evaluate`."""

    ref: Annotated[str, 1] = ""


class RefMap(Struct):
    """Several results, one a platform."""

    refs: Annotated[dict[str, Ref], 1] = {}


class Result(Struct):
    """The answer of a frontend."""

    ref_deprecated: Annotated[str, 1] = ""
    ref: Annotated[Ref | None, 3] = None
    refs: Annotated[RefMap | None, 4] = None
    metadata: Annotated[dict[str, bytes], 10] = {}


class BridgeSolveResponse(Struct):
    """The answer of `LLBBridge/Solve`."""

    ref: Annotated[str, 1] = ""
    result: Annotated[Result | None, 3] = None


class ReturnRequest(Struct):
    """`LLBBridge/Return`: the result for the build to export."""

    result: Annotated[Result | None, 1] = None
    error: Annotated[Status | None, 2] = None


# The daemon's requests on a session


class HealthCheckResponse(Struct):
    """`grpc.health.v1.Health/Check`; 1 is good."""

    status: Annotated[int, 1] = 0


class SecretRequest(Struct):
    """`Secrets/GetSecret`."""

    id: Annotated[str, 1] = ""


class SecretResponse(Struct):
    """A secret."""

    data: Annotated[bytes, 1] = b""


class CredentialsRequest(Struct):
    """`Auth/Credentials`: the request for a registry's credentials."""

    host: Annotated[str, 1] = ""


class CredentialsResponse(Struct):
    """A name and a password; both empty if there are none."""

    username: Annotated[str, 1] = ""
    secret: Annotated[str, 2] = ""


class CheckAgentRequest(Struct):
    """`SSH/CheckAgent`: whether an agent of this name exists."""

    id: Annotated[str, 1] = ""


# Folders over the wire (fsutil)


class Stat(Struct):
    """One file of a folder; names are bytes, as the kernel has them."""

    path: Annotated[bytes, 1] = b""
    mode: Annotated[int, 2] = 0
    uid: Annotated[int, 3] = 0
    gid: Annotated[int, 4] = 0
    size: Annotated[int, 5] = 0
    modified_ns: Annotated[int, 6] = 0
    linkname: Annotated[bytes, 7] = b""
    device_major: Annotated[int, 8] = 0
    device_minor: Annotated[int, 9] = 0
    xattrs: Annotated[dict[str, bytes], 10] = {}


class Packet(Struct):
    """One step of the transfer of a folder."""

    type: Annotated[int, 1] = 0
    stat: Annotated[Stat | None, 2] = None
    id: Annotated[int, 3] = 0
    data: Annotated[bytes, 4] = b""


STAT, REQ, DATA, FIN, ERR = range(5)
"""The types of packets."""
