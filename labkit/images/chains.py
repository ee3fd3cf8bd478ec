"""Chain ids: the name of a layer together with everything below it (OCI image-spec, config.md)."""

import hashlib
from collections.abc import Sequence


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Return the chain id at each height, the lowest first.

    The lowest layer's chain id is its own diff id; each further one is the SHA-256 of the chain id
    below and the layer's diff id with a space between.  So the same layer on another stack has
    another chain id.
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            text = f"{chain[-1]} {diff_id}".encode()
            chain.append(f"sha256:{hashlib.sha256(text).hexdigest()}")
        else:
            chain.append(diff_id)
    return chain
