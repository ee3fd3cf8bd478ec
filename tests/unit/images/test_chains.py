"""Chain ids, against the definition in the OCI image specification."""

from hashlib import sha256

from labkit.images.chains import chain_ids

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def test_a_chain_names_a_layer_with_all_below_it() -> None:
    two = "sha256:" + sha256(f"{A} {B}".encode()).hexdigest()
    three = "sha256:" + sha256(f"{two} {C}".encode()).hexdigest()
    assert chain_ids([A, B, C]) == [A, two, three]


def test_order_matters_and_nothing_gives_nothing() -> None:
    assert chain_ids([A, B])[1] != chain_ids([B, A])[1]
    assert chain_ids([]) == []
