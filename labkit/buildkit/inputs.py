"""A build that begins with another build's result: bake's `contexts = { base = "target:base" }`.

The client gets each result as a graph of steps, and sends the graph with the next request.  It does
not read it: so labkit's graph has one step, whose name is that of the result.
Source: buildkit's client/llb/definition.go (`NewDefinitionOp`).
"""

import hashlib

from labkit.buildkit.messages import (
    Definition,
    Operand,
    Operation,
    OperationMetadata,
    SourceOperation,
)
from labkit.errors import InvalidParameterError
from labkit.rpc import wire

SCHEME = "labkit-result://"
PREFIX = "input:"
"""How the meaning of a named context begins if it is another build's result."""


def definition_of(number: str) -> Definition:
    """Return the graph that means a result."""
    step = wire.encode(Operation(source=SourceOperation(f"{SCHEME}{number}")))
    steps = [step, wire.encode(Operation([Operand(_digest(step))]))]
    return Definition(steps, {_digest(each): OperationMetadata() for each in steps})


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def number_of(definition: Definition) -> str:
    """Return the result that a graph means; InvalidParameterError for any other graph."""
    for data in definition.operations:
        source = wire.decode(Operation, data).source
        if source is not None and source.identifier.startswith(SCHEME):
            return source.identifier.removeprefix(SCHEME)
    raise InvalidParameterError("labkit runs Dockerfiles, and no graph of another frontend")
